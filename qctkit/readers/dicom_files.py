"""Finding the DICOM files in a folder tree or in zip archives, by their content.

A zip archive is read in place, one member in memory at a time: nothing is unpacked to disk, so
no path in the archive is followed and no patient's file is left behind.
"""

import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from qctkit.errors import ScanError

MAGIC = b"DICM"
MAGIC_OFFSET = 128
FIRST_GROUP = b"\x08\x00"
LARGEST_MEMBER_BYTES = 2**31
DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)


@dataclass(frozen=True)
class DicomFile:
    """Where a DICOM file lies: a path, or a member of the zip archive at the path."""

    path: Path
    member: str = ""


def holds_dicom(path: Path) -> bool:
    """Whether the path is a DICOM file, or a folder tree or zip archive with one in it.

    A damaged ``.zip`` or a folder with an unreadable file counts, so that reading it can say what
    is wrong.
    """
    try:
        return next(find_dicom(path), None) is not None
    except ScanError:
        return path.is_dir() or path.suffix.lower() == ".zip"


def find_dicom(path: Path) -> Iterator[tuple[DicomFile, IO[bytes]]]:
    """Give the DICOM files at the path, opened at their start, in the order of their names.

    Raises:
        ScanError: a file cannot be read, or a zip archive is damaged, encrypted or holds a member
            too large for a slice.
    """
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for number, file in enumerate(files, start=1):
        try:
            if file.suffix.lower() == ".zip":
                yield from _find_in_archive(file)
                continue
            with file.open("rb") as stream:
                if _is_dicom(stream):
                    yield DicomFile(file), stream
        except OSError as error:
            # The error itself names the file, whose name may be a patient's.
            raise ScanError(
                f"file {number} of {len(files)} (in order of names) cannot be read: "
                f"{error.strerror or 'input error'}"
            ) from None


def open_again(files: Iterable[DicomFile]) -> Iterator[IO[bytes]]:
    """Give files found before, opened one after the other and each archive only once.

    Raises:
        ScanError: a file cannot be read, or an archive is damaged.
    """
    archives: dict[Path, zipfile.ZipFile] = {}
    with ExitStack() as stack:
        for file in files:
            try:
                if not file.member:
                    with file.path.open("rb") as stream:
                        yield stream
                    continue
                if file.path not in archives:
                    archives[file.path] = stack.enter_context(zipfile.ZipFile(file.path))
                with archives[file.path].open(file.member) as stream:
                    yield stream
            except DAMAGED_ZIP:
                raise _damaged_archive() from None
            except OSError as error:
                raise ScanError(
                    f"a slice cannot be read any more: {error.strerror or 'input error'}"
                ) from None


def _find_in_archive(path: Path) -> Iterator[tuple[DicomFile, IO[bytes]]]:
    try:
        with zipfile.ZipFile(path) as archive:
            for member in sorted(archive.infolist(), key=lambda member: member.filename):
                if member.is_dir():
                    continue
                if member.flag_bits & 1:
                    raise ScanError("the zip archive is encrypted; unpack it and give the folder")
                with archive.open(member) as stream:
                    if not _is_dicom(stream):
                        continue
                    if member.file_size > LARGEST_MEMBER_BYTES:
                        raise ScanError(
                            "the zip archive holds a file of more than 2 GiB; unpack it first"
                        )
                    yield DicomFile(path, member.filename), stream
    except DAMAGED_ZIP:
        raise _damaged_archive() from None


def _damaged_archive() -> ScanError:
    return ScanError("the zip archive is damaged or truncated; copy it again")


def _is_dicom(stream: IO[bytes]) -> bool:
    """Whether a file has the preamble of DICOM PS3.10, or begins as older files without one do.

    The stream is left at its start.
    """
    start = stream.read(MAGIC_OFFSET + len(MAGIC))
    stream.seek(0)
    if start[MAGIC_OFFSET:] == MAGIC:
        return True
    # Without a preamble a file begins with a short element of group 0008, little endian: its tag,
    # then two letters for its type, or four bytes for its length.
    typed = start[4:6].isalpha() and start[4:6].isupper()
    short = start[4:5] != b"\0" and start[5:8] == b"\0\0\0"
    return start[:2] == FIRST_GROUP and start[3:4] == b"\0" and (typed or short)
