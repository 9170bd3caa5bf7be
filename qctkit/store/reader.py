"""Reading a cohort file, one sample in memory at a time."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import h5py

from qctkit import schema
from qctkit.calibration import Calibration
from qctkit.cohort import Record, Sample
from qctkit.errors import CohortFileError, InputError
from qctkit.store.encode import decode, decode_calibration
from qctkit.store.group import (
    read_attributes,
    read_group,
    read_json,
    refuse_links_out,
    sample_group,
)
from qctkit.store.table import (
    Columns,
    Row,
    read_column,
    read_table,
    row_subject,
    same_value,
    table_row,
)
from qctkit.subject import CORE, Subject, know
from qctkit.units import Unit
from qctkit.window import Window

DAMAGE = (KeyError, ValueError, TypeError, AttributeError, OSError, RuntimeError, MemoryError)
"""What h5py and its callers raise on bytes that are not what they should be."""


class CohortFile:
    """A cohort on disk. Opening it reads the ids; ``table`` all metadata, ``load`` one sample.

    Nothing stays open between calls, so an instance may be shared with worker processes.

    Attributes:
        fingerprint: names exactly these samples in this order.
        window: the window stored with the cohort.
        run: what made the file.
        refused_count: number of refused candidates on record.
        defined: attributes of its subjects that the core does not know, as the file defines them.

    Example::

        cohort = CohortFile(path)
        old = cohort.table["sample_id"][cohort.table["age_years"] > 70]

    Raises:
        CohortFileError: the file is missing, damaged, of another format or version, or holds a
            link out of itself. Samples are looked at when they are loaded.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self.open() as file:
            refuse_links_out(file, path, deep=False)
            refuse_links_out(file[schema.TABLE], path)
            ids = read_column(file[schema.TABLE], "sample_id").tolist()
            self._row_of = {sample_id: row for row, sample_id in enumerate(ids)}
            if len(self._row_of) != len(ids):
                raise CohortFileError(f"{path} is damaged: its table gives a sample id twice")
            self.fingerprint = str(file.attrs["fingerprint"])
            self.window = Window(
                float(file.attrs["window_low_hu"]), float(file.attrs["window_high_hu"])
            )
            self.run: Record = read_json(file, schema.RUN)
            self.defined = read_attributes(file)
            self.refused_count = len(file[schema.REFUSED]) if schema.REFUSED in file else 0

    def __getstate__(self) -> dict[str, object]:
        """Return what goes to a worker process, which reads the table itself where it needs it."""
        return {name: value for name, value in self.__dict__.items() if name != "table"}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Know, in a worker process too, what the file defines."""
        self.__dict__.update(state)
        know(self.defined)

    @property
    def others(self) -> tuple[str, ...]:
        """Names of the attributes that the file defines."""
        return tuple(one.name for one in self.defined)

    @property
    def attributes(self) -> tuple[str, ...]:
        """What is known, of some subject at least or of any: the core's attributes, and others."""
        return (*CORE, *self.others)

    @property
    def sample_ids(self) -> tuple[str, ...]:
        """Ids in order."""
        return tuple(self._row_of)

    @cached_property
    def table(self) -> Columns:
        """All metadata, one value a sample in each column, read once; touches no voxels.

        The columns are those of ``docs/cohort-format.md``: texts ("" where missing), float64 (NaN
        where missing) and int64.
        """
        with self.open() as file:
            columns = read_table(file[schema.TABLE], self.others)
            if columns["sample_id"].tolist() != list(self._row_of):
                raise CohortFileError(f"{self.path} has changed since it was opened")
            return MappingProxyType(columns)

    @cached_property
    def refused(self) -> tuple[Record, ...]:
        """Records of the refused candidates."""
        with self.open() as file:
            texts = file[schema.REFUSED].asstr()[()] if schema.REFUSED in file else []
            return tuple(json.loads(text) for text in texts)

    def row(self, sample_id: str) -> Row:
        """Return what the table says of a sample.

        Raises:
            CohortFileError: there is no such sample.
        """
        if sample_id not in self._row_of:
            raise CohortFileError(
                f"{self.path} has no sample {sample_id!r}; `qctkit info` lists its samples"
            )
        position = self._row_of[sample_id]
        return {name: column[position].item() for name, column in self.table.items()}

    def subject(self, sample_id: str) -> Subject:
        """Return the subject of a sample; touches no voxels.

        Raises:
            CohortFileError: there is no such sample, or what the table says of it is impossible.
        """
        row = self.row(sample_id)
        try:
            return row_subject(row)
        except (ValueError, InputError) as error:
            raise CohortFileError(f"{self.path} is damaged: {error}") from error

    def calibration(self, sample_id: str) -> Calibration | None:
        """Return the calibration of a sample, None where it has none; touches no voxels."""
        self.row(sample_id)
        with self.open() as file:
            return decode_calibration(sample_group(file, sample_id, self.path).attrs)

    def summary(self, sample_id: str) -> Record:
        """Return shape, spacing, scale, side and mask origin of a sample; touches no voxels."""
        row = self.row(sample_id)
        return {
            "shape": [row["depth"], row["height"], row["width"]],
            "spacing_mm": [row[f"spacing_{axis}_mm"] for axis in ("depth", "height", "width")],
            "unit": row["unit"],
            "scale": row["scale"],
            "calibrated": row["unit"] != Unit.HU or row["calibration_material"] != "",
            "side": row["side"],
            "mask": row["mask_origin"],
        }

    def load(self, sample_id: str) -> Sample:
        """Return one sample with its voxels, its checksum and its row of the table verified.

        Raises:
            CohortFileError: there is no such sample, its bytes are not those written, or the table
                says something else of it.
        """
        row = self.row(sample_id)
        with self.open() as file:
            stored, stated = read_group(sample_group(file, sample_id, self.path))
            sha256 = stored.checksum()
            if sha256 != stated:
                raise CohortFileError(
                    f"{self.path}: the checksum of sample {sample_id} does not match its voxels "
                    "and metadata; the file is damaged, restore or remake it"
                )
            sample = decode(stored)
            found = table_row(sample, stored, sha256, self.others)
            differing = [name for name, value in found.items() if not same_value(value, row[name])]
            if differing:
                raise CohortFileError(
                    f"{self.path}: the table and sample {sample_id} disagree on "
                    f"{', '.join(differing)}; the file is damaged, restore or remake it"
                )
            return sample

    def __iter__(self) -> Iterator[Sample]:
        return (self.load(sample_id) for sample_id in self.sample_ids)

    def __len__(self) -> int:
        return len(self._row_of)

    @contextmanager
    def open(self) -> Iterator[h5py.File]:
        """Give the HDF5 file for reading; what h5py raises on damage becomes one clear error.

        Raises:
            CohortFileError: the file is missing, damaged or of another format or version.
        """
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
            except (*DAMAGE, InputError) as error:
                raise CohortFileError(f"{self.path} is damaged: {error}") from error

    def _check_format(self, file: h5py.File) -> None:
        found = file.attrs.get("format"), file.attrs.get("format_version")
        if found[0] != schema.FORMAT or found[1] not in schema.FORMAT_VERSIONS:
            raise CohortFileError(
                f"{self.path} is not a cohort file of format {schema.FORMAT} "
                f"{' or '.join(map(str, schema.FORMAT_VERSIONS))} (found {found[0]}, {found[1]})"
            )
