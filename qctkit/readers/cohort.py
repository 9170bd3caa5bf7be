"""Samples of cohort files, whole."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import h5py

from qctkit import schema
from qctkit.cohort import Sample
from qctkit.contracts import FoundScan
from qctkit.errors import CohortFileError, ScanError
from qctkit.store.reader import CohortFile

SUFFIXES = (".h5", ".hdf5")


class CohortReader:
    """Reads cohort files."""

    name = "cohort"

    def claims(self, path: Path) -> bool:
        """Whether the path is an HDF5 file that calls itself a cohort, of whatever version."""
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            return False
        try:
            with h5py.File(path, "r") as file:
                return bool(file.attrs.get("format") == schema.FORMAT)
        except (OSError, RuntimeError, ValueError, TypeError, KeyError):
            return False

    def find(self, path: Path) -> Sequence[FoundScan]:
        """Return the samples of a cohort file, in its order."""
        try:
            cohort = CohortFile(path)
        except CohortFileError as error:
            raise _without_path(error, path) from error
        if not cohort.sample_ids:
            raise ScanError("the cohort has no samples")
        return tuple(
            FoundScan(
                f"sample {one} of a cohort file",
                partial(_load, path, one),
                subject_id=cohort.subject(one).subject_id,
            )
            for one in cohort.sample_ids
        )


def _load(path: Path, sample_id: str) -> Sample:
    try:
        return CohortFile(path).load(sample_id)
    except CohortFileError as error:
        raise _without_path(error, path) from error


def _without_path(error: CohortFileError, path: Path) -> ScanError:
    """Return the error without the path, which whoever asked adds."""
    return ScanError(str(error).removeprefix(f"{path}: ").replace(str(path), "the cohort"))
