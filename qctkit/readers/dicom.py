"""DICOM CT series, in a folder tree or in zip archives."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from qctkit.contracts import FoundScan, Scan
from qctkit.errors import ScanError
from qctkit.readers.dicom_files import find_dicom, holds_dicom
from qctkit.readers.dicom_header import (
    READ_TAGS,
    Kind,
    SeriesKey,
    SliceHeader,
    kind_of,
    read_dataset,
    series_key,
    slice_headers,
)
from qctkit.readers.dicom_pixels import read_voxels
from qctkit.readers.dicom_series import in_order, series_geometry
from qctkit.subject import Sex
from qctkit.volume import Volume

Known = TypeVar("Known", Sex, float)

READ_KINDS = (Kind.CT_SLICE, Kind.ENHANCED)


class DicomReader:
    """Finds the CT series in a folder tree, in zip archives or in a file.

    Files are known by content, never by name or extension, and sorted into series by the headers.
    """

    name = "dicom"

    def claims(self, path: Path) -> bool:
        """Whether the path is, or holds, a DICOM file."""
        return holds_dicom(path)

    def find(self, path: Path) -> Sequence[FoundScan]:
        """Return the CT series at the path, by series number; the first notes what was skipped.

        Raises:
            ScanError: a file or archive is damaged, or no file is a CT slice.
        """
        slices, notes = _ct_slices(path)
        found = []
        for number, key in enumerate(sorted(slices), start=1):
            series = DicomSeries(number, tuple(slices[key]))
            label = f"series {number} of {len(slices)}" if len(slices) > 1 else ""
            found.append(
                FoundScan(series.description, series.load, key.patient, notes, label=label)
            )
            notes = ()
        return tuple(found)


@dataclass(frozen=True)
class DicomSeries:
    """The slices of one series, without their pixels.

    Attributes:
        number: place among the series found there, from 1.
        slices: headers, in no order; an error for a slice whose header cannot be used.
    """

    number: int
    slices: tuple[SliceHeader | ScanError, ...] = field(repr=False)

    @property
    def description(self) -> str:
        """Number, size and ends of the series, such as a message shows."""
        usable = [one for one in self.slices if isinstance(one, SliceHeader)]
        words = f"series {self.number}: {len(self.slices)} slices"
        if not usable:
            return words
        ends = sorted(usable, key=lambda one: one.height_mm)
        rows, columns = ends[0].matrix
        span = f"number {ends[0]}" + (f" to {ends[-1]}" if len(ends) > 1 else "")
        return f"{words} of {rows} x {columns}, {span}"

    def load(self) -> Scan:
        """Return the scan.

        Raises:
            ScanError: the slices are not one whole, regular series.
            InputError: their voxels are not HU.
        """
        slices = in_order(_usable(self.slices))
        geometry = series_geometry(slices)
        volume = Volume(read_voxels(slices), geometry)
        size = " x ".join(str(n) for n in geometry.shape)
        return Scan(
            volume,
            sex=_agreed([one.sex for one in slices]),
            age_years=_agreed([one.age_years for one in slices]),
            weight_kg=_agreed([one.weight_kg for one in slices]),
            tube_voltage_kvp=_agreed([one.tube_voltage_kvp for one in slices]),
            description=f"DICOM series, {size} voxels (D, H, W)",
        )


def _ct_slices(
    path: Path,
) -> tuple[dict[SeriesKey, list[SliceHeader | ScanError]], tuple[str, ...]]:
    """Return the headers of the CT slices at the path by series, and a note of what is not one."""
    series: dict[SeriesKey, list[SliceHeader | ScanError]] = {}
    skipped: Counter[Kind] = Counter()
    for count, (file, stream) in enumerate(find_dicom(path), start=1):
        try:
            dataset = read_dataset(stream, READ_TAGS)
        except ScanError as error:
            raise ScanError(
                f"DICOM file {count} (in order of names): {error}; copy the series again"
            ) from None
        kind = kind_of(dataset)
        if kind not in READ_KINDS:
            skipped[kind] += 1
            continue
        slices = series.setdefault(series_key(dataset), [])
        try:
            slices.extend(slice_headers(file, dataset, kind))
        except ScanError as error:
            slices.append(error)
    in_words = ", ".join(f"{count} x {kind}" for kind, count in skipped.items())
    if not series:
        raise ScanError(f"no CT slices, only {in_words or 'files of other formats'}")
    return series, (f"skipped what is not a CT slice: {in_words}",) if skipped else ()


def _usable(slices: Sequence[SliceHeader | ScanError]) -> list[SliceHeader]:
    """Return the slices, all of which must be usable.

    Raises:
        ScanError: one is not.
    """
    usable = []
    for one in slices:
        if isinstance(one, ScanError):
            raise one
        usable.append(one)
    return usable


def _agreed(values: Sequence[Known | None]) -> Known | None:
    """Return the one value that slices state; None when none does or they contradict."""
    stated = {value for value in values if value is not None}
    return stated.pop() if len(stated) == 1 else None
