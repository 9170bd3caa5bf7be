"""Writing a folder whole or not at all."""

import shutil
from pathlib import Path

from qctkit.errors import OutputExistsError

OURS = frozenset({".json", ".safetensors", ".onnx", ".html"})
"""Endings of what a folder of predictors holds."""


class ReplacedFolder:
    """A folder that takes its name when it is complete, and replaces an older one only then.

    Raises:
        OutputExistsError: the folder has something in it and ``overwrite`` is not set.
    """

    def __init__(self, folder: Path, *, overwrite: bool) -> None:
        folder = folder.resolve()
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

    With ``overwrite`` only a folder that an earlier run wrote is replaced: one that holds anything
    else would take a user's files with it.

    Raises:
        OutputExistsError: the folder must not be written.
    """
    if overwrite and folder.is_dir() and any(folder.iterdir()):
        strangers = sorted(one.name for one in folder.iterdir() if one.suffix not in OURS)
        if strangers:
            raise OutputExistsError(
                f"{folder} holds files that qctkit did not write there ({strangers[0]}); choose "
                "another output"
            )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())) and not overwrite:
        raise OutputExistsError(
            f"{folder} is not empty; choose another output or give --overwrite to replace it"
        )
