"""Finding the DICOM files in a folder tree or a zip archive, by their content.

A zip archive is read in place, one member in memory at a time: nothing is unpacked to disk, so
no path in the archive is followed and no patient's file is left behind.
"""

import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO, BinaryIO, TypeAlias

from qctkit.errors import ScanError

DicomFile: TypeAlias = Callable[[], BinaryIO]
"""Opens one DICOM file for reading."""

MAGIC = b"DICM"
MAGIC_OFFSET = 128
LARGEST_MEMBER_BYTES = 2**31
DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)


def holds_dicom(path: Path) -> bool:
    """Whether the path is a DICOM file, or a folder tree or zip archive with one in it.

    A damaged ``.zip`` counts, so that reading it can say what is wrong.
    """
    try:
        with dicom_files(path) as files:
            return next(files, None) is not None
    except OSError:
        return False
    except ScanError:
        return True


@contextmanager
def dicom_files(path: Path) -> Iterator[Iterator[DicomFile]]:
    """Give the DICOM files at the path, in the order of their names.

    Raises:
        ScanError: a zip archive is damaged, encrypted or holds a member too large for a slice.
    """
    if path.suffix.lower() == ".zip" and path.is_file():
        try:
            with zipfile.ZipFile(path) as archive:
                yield _in_archive(archive)
        except DAMAGED_ZIP:
            raise ScanError("the zip archive is damaged or truncated; copy it again") from None
    else:
        yield _in_folder(path)


def _in_folder(path: Path) -> Iterator[DicomFile]:
    for file in [path] if path.is_file() else sorted(path.rglob("*")):
        if file.is_file():
            with file.open("rb") as stream:
                is_dicom = _is_dicom(stream)
            if is_dicom:
                yield partial(_open, file)


def _open(file: Path) -> BinaryIO:
    return file.open("rb")


def _in_archive(archive: zipfile.ZipFile) -> Iterator[DicomFile]:
    for member in sorted(archive.infolist(), key=lambda member: member.filename):
        if member.is_dir():
            continue
        if member.flag_bits & 1:
            raise ScanError("the zip archive is encrypted; unpack it and give the folder")
        with archive.open(member) as stream:
            is_dicom = _is_dicom(stream)
        if not is_dicom:
            continue
        if member.file_size > LARGEST_MEMBER_BYTES:
            raise ScanError("the zip archive holds a file of more than 2 GiB; unpack it first")
        yield partial(_unpack, archive, member)


def _is_dicom(stream: IO[bytes]) -> bool:
    start = stream.read(MAGIC_OFFSET + len(MAGIC))
    return start[MAGIC_OFFSET:] == MAGIC


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> BinaryIO:
    return BytesIO(archive.read(member))
