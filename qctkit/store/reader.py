"""Reading a cohort file, one sample in memory at a time."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from qctkit import schema
from qctkit.calibration import Calibration, scale_in_words
from qctkit.cohort import Record, Sample
from qctkit.errors import CohortFileError, InputError
from qctkit.store.encode import checksum, read_calibration, read_json, read_sample, read_subject
from qctkit.subject import Subject
from qctkit.units import Unit
from qctkit.window import Window

_DAMAGE = (KeyError, ValueError, TypeError, AttributeError, OSError, RuntimeError, MemoryError)
"""What h5py and its callers raise on bytes that are not what they should be."""


class CohortFile:
    """A cohort on disk. Opening it reads the table; ``load`` reads one sample.

    Nothing stays open between calls, so an instance may be shared with worker processes.

    Raises:
        CohortFileError: the file is missing, damaged, of another format or version, or holds a
            link out of itself.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as file:
            self._subjects = self._read_subjects(file)
            self.fingerprint = str(file.attrs["fingerprint"])
            self.window = Window(
                float(file.attrs["window_low_hu"]), float(file.attrs["window_high_hu"])
            )
            self.run: Record = read_json(file, schema.RUN)
            texts = file[schema.REFUSED].asstr()[()] if schema.REFUSED in file else []
            self.refused: tuple[Record, ...] = tuple(json.loads(text) for text in texts)

    @property
    def sample_ids(self) -> tuple[str, ...]:
        """Ids in order."""
        return tuple(self._subjects)

    def subject(self, sample_id: str) -> Subject:
        """Return the subject of a sample; touches no voxels.

        Raises:
            CohortFileError: there is no such sample.
        """
        if sample_id not in self._subjects:
            raise CohortFileError(
                f"{self.path} has no sample {sample_id!r}; `qctkit info` lists its samples"
            )
        return self._subjects[sample_id]

    def calibration(self, sample_id: str) -> Calibration | None:
        """Return the calibration of a sample, None where it has none; touches no voxels."""
        self.subject(sample_id)
        with self._open() as file:
            return read_calibration(file[schema.SAMPLES][sample_id])

    def summary(self, sample_id: str) -> Record:
        """Return shape, spacing, scale, side and mask origin of a sample; touches no voxels."""
        self.subject(sample_id)
        with self._open() as file:
            group = file[schema.SAMPLES][sample_id]
            return {
                "shape": [int(n) for n in group[schema.VOLUME].shape],
                "spacing_mm": [float(one) for one in group.attrs["spacing_mm"]],
                "unit": str(group.attrs["unit"]),
                "scale": scale_in_words(Unit(group.attrs["unit"]), read_calibration(group)),
                "calibrated": "calibration_material" in group.attrs,
                "side": str(group.attrs["side"]),
                "mask": str(group.attrs["mask_origin"]),
            }

    def load(self, sample_id: str) -> Sample:
        """Return one sample with its voxels, its checksum verified.

        Raises:
            CohortFileError: there is no such sample, or its bytes are not those written.
        """
        self.subject(sample_id)
        with self._open() as file:
            group = file[schema.SAMPLES][sample_id]
            if checksum(group) != group.attrs["sha256"]:
                raise CohortFileError(
                    f"{self.path}: the checksum of sample {sample_id} does not match its voxels; "
                    "the file is damaged, restore or remake it"
                )
            return read_sample(group)

    def __iter__(self) -> Iterator[Sample]:
        return (self.load(sample_id) for sample_id in self.sample_ids)

    def __len__(self) -> int:
        return len(self._subjects)

    @contextmanager
    def _open(self) -> Iterator[h5py.File]:
        if not self.path.is_file():
            raise CohortFileError(f"{self.path} does not exist or is not a file")
        try:
            file = h5py.File(self.path, "r")
        except OSError as error:
            raise CohortFileError(
                f"{self.path} is not a readable HDF5 file; a cohort is made by `qctkit ingest` or "
                "`qctkit simulate`"
            ) from error
        with file:
            try:
                self._check_format(file)
                yield file
            except CohortFileError:
                raise
            except (*_DAMAGE, InputError) as error:
                raise CohortFileError(f"{self.path} is damaged: {error}") from error

    def _check_format(self, file: h5py.File) -> None:
        found = file.attrs.get("format"), file.attrs.get("format_version")
        if found != (schema.FORMAT, schema.FORMAT_VERSION):
            raise CohortFileError(
                f"{self.path} is not a cohort file of format {schema.FORMAT} "
                f"{schema.FORMAT_VERSION} (found {found[0]}, {found[1]})"
            )

    def _read_subjects(self, file: h5py.File) -> dict[str, Subject]:
        refuse_links_out(file, self.path)
        order = file[schema.TABLE]["sample_id"].asstr()[()]
        return {str(name): read_subject(file[schema.SAMPLES][name]) for name in order}


def refuse_links_out(group: h5py.Group, path: Path) -> None:
    """Refuse anything in the file that reaches outside it, or that is not a plain object.

    Raises:
        CohortFileError: a soft or external link, a virtual dataset or external storage.
    """
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise CohortFileError(f"{path}: {group.name}/{name} is a link; refused")
        child = group[name]
        if isinstance(child, h5py.Group):
            refuse_links_out(child, path)
        elif child.is_virtual or child.external:
            raise CohortFileError(f"{path}: {child.name} keeps its data in another file; refused")
