"""Whether code writes to files, seen through Python's audit events.

A library written in C that opens a file by itself, as HDF5 does, is not seen.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qctkit.testing.contract import expect

CHANGES = {"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_watching: list[list[Path]] = []
_installed: list[bool] = []


@contextmanager
def writes_only_below(*folders: Path) -> Iterator[None]:
    """Raise an AssertionError afterwards if a file outside the folders was opened to write.

    What Python itself writes, as it compiles modules, does not count.
    """
    if not _installed:  # an audit hook stays until the process ends
        sys.addaudithook(_audit)
        _installed.append(True)
    seen: list[Path] = []
    _watching.append(seen)
    try:
        yield
    finally:
        _watching.remove(seen)
    allowed = [folder.resolve() for folder in folders]
    outside = [
        path
        for path in seen
        if not any(path.is_relative_to(one) for one in allowed)
        and "__pycache__" not in path.parts
        and path != Path(os.devnull)
    ]
    expect(not outside, f"it wrote to {', '.join(str(one) for one in outside[:3])}")


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    target = None
    if (event == "open" and _writes(arguments)) or event in CHANGES:
        target = arguments[0]
    if isinstance(target, str | bytes | os.PathLike):
        for seen in _watching:
            seen.append(Path(os.path.abspath(os.fsdecode(target))).resolve())  # noqa: PTH100


def _writes(arguments: tuple[Any, ...]) -> bool:
    _, mode, flags = arguments
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return isinstance(flags, int) and bool(flags & WRITING)
