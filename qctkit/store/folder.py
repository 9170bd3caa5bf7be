"""Writing a folder whole or not at all."""

import shutil
from pathlib import Path

from qctkit.errors import OutputExistsError


class ReplacedFolder:
    """A folder that takes its name when it is complete, and replaces an older one only then.

    Raises:
        OutputExistsError: the folder has something in it and ``overwrite`` is not set.
    """

    def __init__(self, folder: Path, *, overwrite: bool) -> None:
        self._folder = folder
        refuse_existing(folder, overwrite=overwrite)
        self._partial = folder.with_name(f".{folder.name}.partial")

    def __enter__(self) -> Path:
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir(parents=True)
        return self._partial

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        if error_type is not None:
            shutil.rmtree(self._partial)
            return
        if self._folder.is_dir():
            shutil.rmtree(self._folder)
        self._partial.replace(self._folder)


def refuse_existing(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that has something in it, before any work is done.

    Raises:
        OutputExistsError: it has, and ``overwrite`` is not set.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())) and not overwrite:
        raise OutputExistsError(
            f"{folder} is not empty; choose another output or give --overwrite to replace it"
        )
