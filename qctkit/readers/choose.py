"""From a path to the one scan that lies there."""

from collections.abc import Sequence
from pathlib import Path

from qctkit.contracts import Reader, Scan
from qctkit.errors import ScanError


def read_scan(path: Path, readers: Sequence[Reader]) -> Scan:
    """Return the scan at the path, read by the one reader that claims it.

    Raises:
        ScanError: nothing is there, no reader or several claim it, or it is not one scan.
    """
    scans = _reader_for(path, readers).read(path)
    if len(scans) != 1:
        raise ScanError(f"{path}: expected one scan, found {len(scans)}; give the path of one scan")
    return scans[0]


def _reader_for(path: Path, readers: Sequence[Reader]) -> Reader:
    if not path.exists():
        raise ScanError(f"{path}: there is no such file or folder; check the path")
    if path.is_dir() and not any(entry.is_file() for entry in path.rglob("*")):
        raise ScanError(f"{path}: the folder is empty; give the folder that holds the scan's files")
    claiming = [reader for reader in readers if reader.claims(path)]
    names = ", ".join(reader.name for reader in claiming or readers)
    if not claiming:
        raise ScanError(
            f"{path}: no reader knows this format (readers: {names}); give a NIfTI file, or a "
            "folder or zip archive of one DICOM series"
        )
    if len(claiming) > 1:
        raise ScanError(f"{path}: several readers claim this ({names}); switch one of them off")
    return claiming[0]
