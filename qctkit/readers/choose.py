"""From a path to the scans that lie there."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qctkit.cohort import Sample
from qctkit.contracts import FoundScan, Reader, Scan
from qctkit.errors import InputError, ScanError


def find_scans(path: Path, readers: Sequence[Reader]) -> tuple[FoundScan, ...]:
    """Return the scans at the path, each found by the one reader that claims it.

    A folder belongs to the reader that claims it; a folder that none claims is searched for files
    that readers claim one by one.

    Raises:
        ScanError: nothing is there, or no reader or several claim it.
    """
    if not path.exists():
        raise ScanError(f"{path}: there is no such file or folder; check the path")
    claiming = [reader for reader in readers if reader.claims(path)]
    if path.is_file():
        return _found(path, str(path), claiming, readers)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    if claiming:
        others = [one for one in readers if one not in claiming]
        left = sum(any(one.claims(file) for one in others) for file in files)
        note = f"{left} files of other formats beside it were left alone; give them as sources"
        return _found(path, str(path), claiming, readers, (note,) if left else ())
    if not files:
        raise ScanError(f"{path}: the folder is empty; give the folder that holds the scan's files")
    claims = {file: [one for one in readers if one.claims(file)] for file in files}
    claimed = [file for file in files if claims[file]]
    if not claimed:
        raise _unknown(str(path), readers)
    found: list[FoundScan] = []
    for number, file in enumerate(claimed, start=1):
        # The name of a file that the user did not type may be a patient's.
        where = f"{path}, file {number} of {len(claimed)} (in order of names)"
        found.extend(_found(file, where, claims[file], readers))
    return tuple(found)


def find_one(path: Path, readers: Sequence[Reader], number: int | None = None) -> FoundScan:
    """Return the one scan at the path, or the one of a number, counted from 1.

    Raises:
        ScanError: as ``find_scans``, or there are several and no number says which.
    """
    scans = find_scans(path, readers)
    if number is not None:
        if not 1 <= number <= len(scans):
            raise ScanError(f"{path}: there is no scan number {number}, only {_listed(scans)}")
        return scans[number - 1]
    if len(scans) != 1:
        raise ScanError(
            f"{path}: expected one scan, found {_listed(scans)}; give the path of one scan, or its "
            "number in the column 'series' of the table"
        )
    return scans[0]


def load_one(path: Path, readers: Sequence[Reader], number: int | None = None) -> Scan | Sample:
    """Find and load the one scan at the path, or the one of a number.

    Raises:
        ScanError: as ``find_one``, or the scan cannot be read.
    """
    return find_one(path, readers, number).load()


@dataclass(frozen=True)
class _Located:
    """Loads a scan; a refusal says where the scan is, and the scan carries what was noted."""

    where: str
    found: FoundScan

    def __call__(self) -> Scan | Sample:
        try:
            loaded = self.found.load()
        except InputError as error:
            raise ScanError(f"{self.where}: {error}") from error
        if isinstance(loaded, Sample):
            return loaded
        return replace(loaded, notes=(*self.found.notes, *loaded.notes))


def _found(
    path: Path,
    where: str,
    claiming: Sequence[Reader],
    readers: Sequence[Reader],
    notes: tuple[str, ...] = (),
) -> tuple[FoundScan, ...]:
    if not claiming:
        raise _unknown(where, readers)
    if len(claiming) > 1:
        names = ", ".join(reader.name for reader in claiming)
        raise ScanError(f"{where}: several readers claim this ({names}); switch one of them off")
    try:
        scans = list(claiming[0].find(path))
    except InputError as error:
        raise ScanError(f"{where}: {error}") from error
    if notes and scans:
        scans[0] = replace(scans[0], notes=(*scans[0].notes, *notes))
    return tuple(_located(one, f"{where}, {one.label}" if one.label else where) for one in scans)


def _located(found: FoundScan, place: str) -> FoundScan:
    return replace(found, load=_Located(place, found), place=place)


def _unknown(where: str, readers: Sequence[Reader]) -> ScanError:
    names = ", ".join(reader.name for reader in readers)
    return ScanError(
        f"{where}: no reader knows this format (readers: {names}); give a NIfTI, NRRD, MetaImage "
        "or .npz file, a cohort, or a folder or zip archive of DICOM series"
    )


def _listed(scans: Sequence[FoundScan]) -> str:
    return f"{len(scans)}: " + "; ".join(scan.description for scan in scans)
