"""DICOM CT series, in a folder tree or a zip archive."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from qctkit.contracts import Scan
from qctkit.errors import InputError, ScanError
from qctkit.readers.dicom_files import DicomFile, dicom_files, holds_dicom
from qctkit.readers.dicom_header import (
    READ_TAGS,
    Kind,
    SliceHeader,
    kind_of,
    read_dataset,
    slice_header,
)
from qctkit.readers.dicom_pixels import read_voxels
from qctkit.readers.dicom_series import in_order, series_geometry
from qctkit.subject import Sex
from qctkit.volume import Volume

logger = logging.getLogger(__name__)

Known = TypeVar("Known", Sex, float)


class DicomReader:
    """Reads a CT series from a folder tree, a zip archive or a file of it.

    Files are known by content, never by name or extension.
    """

    name = "dicom"

    def claims(self, path: Path) -> bool:
        """Whether the path is, or holds, a DICOM file."""
        return holds_dicom(path)

    def read(self, path: Path) -> Sequence[Scan]:
        """Return the one CT series at the path; what is not a CT slice is skipped and logged.

        Raises:
            ScanError: the slices at the path are not one whole, regular series.
        """
        try:
            with dicom_files(path) as files:
                return tuple(_scan(series) for series in _series(_ct_slices(list(files))))
        except InputError as error:
            raise ScanError(f"{path}: {error}") from error


def _ct_slices(files: Sequence[DicomFile]) -> list[SliceHeader]:
    """Return the headers of the CT slices among the files."""
    slices: list[SliceHeader] = []
    skipped: Counter[Kind] = Counter()
    for index, file in enumerate(files):
        try:
            dataset = read_dataset(file, READ_TAGS)
        except ScanError as error:
            raise ScanError(
                f"DICOM file {index + 1} of {len(files)} (in order of names): {error}; copy the "
                "series again"
            ) from None
        kind = kind_of(dataset)
        if kind is Kind.CT_SLICE:
            slices.append(slice_header(file, dataset))
        else:
            skipped[kind] += 1
    _report_skipped(skipped, len(slices))
    return slices


def _report_skipped(skipped: Counter[Kind], slices: int) -> None:
    if skipped[Kind.MULTI_FRAME]:
        raise ScanError(
            f"{skipped[Kind.MULTI_FRAME]} x {Kind.MULTI_FRAME}, which is not read yet; convert it "
            "to one file per slice (such as dcm4che's emf2sf) or to NIfTI"
        )
    in_words = ", ".join(f"{count} x {kind}" for kind, count in skipped.items())
    if not slices:
        raise ScanError(f"no CT slices, only {in_words or 'files of other formats'}")
    if skipped:
        logger.warning("skipped what is not a CT slice: %s", in_words)


def _series(slices: Sequence[SliceHeader]) -> list[list[SliceHeader]]:
    """Sort slices into series, which must be one."""
    series: dict[str, list[SliceHeader]] = {}
    for one in slices:
        series.setdefault(one.series, []).append(one)
    if len(series) > 1:
        found = "; ".join(_in_words(one) for one in series.values())
        raise ScanError(
            f"slices of {len(series)} CT series are mixed ({found}); give each series a folder of "
            "its own"
        )
    return list(series.values())


def _in_words(series: Sequence[SliceHeader]) -> str:
    ends = sorted(series, key=lambda one: one.height_mm)
    span = f"number {ends[0]}" if len(series) == 1 else f"{ends[0]} to {ends[-1]}"
    return f"{len(series)} x {span}"


def _scan(series: Sequence[SliceHeader]) -> Scan:
    slices = in_order(series)
    geometry = series_geometry(slices)
    volume = Volume(read_voxels(slices), geometry)
    size = " x ".join(str(n) for n in geometry.shape)
    return Scan(
        volume,
        sex=_agreed([one.sex for one in slices]),
        age_years=_agreed([one.age_years for one in slices]),
        weight_kg=_agreed([one.weight_kg for one in slices]),
        description=f"DICOM series, {size} voxels (D, H, W)",
    )


def _agreed(values: Sequence[Known | None]) -> Known | None:
    """Return the one value that slices state; None when none does or they contradict."""
    stated = {value for value in values if value is not None}
    return stated.pop() if len(stated) == 1 else None
