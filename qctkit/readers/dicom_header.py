"""What the header of a DICOM slice says: geometry, rescaling, sex, age, weight, tube voltage.

Only the tags named here are ever read, so that no other header value can reach a result, a
message or a log line. The patient's id and the series' number and UIDs tell patients and series
apart and go no further.

An enhanced multi-frame file becomes one slice a frame: each frame's functional groups (DICOM
PS3.3, C.7.6.16) hold what a single slice has in its own header.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import IO

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    LegacyConvertedEnhancedCTImageStorage,
    MediaStorageDirectoryStorage,
)

from qctkit.errors import ScanError
from qctkit.geometry import Triple
from qctkit.readers.dicom_attributes import (
    age_years_from_header,
    sex_from_header,
    weight_kg_from_header,
)
from qctkit.readers.dicom_files import DicomFile
from qctkit.readers.quiet import quiet
from qctkit.subject import Sex
from qctkit.units import TUBE_VOLTAGES_KVP

READ_TAGS: list[str] = [
    "SOPClassUID",
    "ImageType",
    "NumberOfFrames",
    "SeriesInstanceUID",
    "SeriesNumber",
    "StudyInstanceUID",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "Rows",
    "Columns",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "KVP",
    "PatientID",
    "PatientSex",
    "PatientAge",
    "PatientWeight",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
]
FRAME_GROUPS = {
    "CTImageFrameTypeSequence": ("FrameType",),
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": ("PixelSpacing",),
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept", "RescaleType"),
    "CTXRayDetailsSequence": ("KVP",),
    "UnassignedSharedConvertedAttributesSequence": ("KVP",),
}
"""Where the functional groups of an enhanced CT keep a frame's values (DICOM PS3.3, A.38.1.4)."""
LIBRARY_LOGGER = "pydicom"
DAMAGED = (
    BytesLengthException,
    InvalidDicomError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What pydicom and the decoders raise on damaged files."""
SECONDARY_CAPTURE_PREFIX = "1.2.840.10008.5.1.4.1.1.7"
REPORT_PREFIX = "1.2.840.10008.5.1.4.1.1.88."
OTHER_SCALES = ("OD", "MGML", "Z_EFF", "ED", "EDW", "PCT")
"""Defined terms of RescaleType (DICOM PS3.3, C.11.1.1.2) for values that are not HU."""


class Kind(StrEnum):
    """What a DICOM file holds, in the words shown to users."""

    CT_SLICE = "CT slice"
    ENHANCED = "enhanced multi-frame CT"
    LOCALIZER = "localizer"
    SECONDARY_CAPTURE = "secondary capture"
    REPORT = "structured report (such as a dose report)"
    DIRECTORY = "DICOM directory file"
    OTHER = "other DICOM object"


@dataclass(frozen=True, order=True)
class SeriesKey:
    """What tells series and patients apart, and orders series; never shown or stored."""

    number: float
    uid: str = field(repr=False)
    patient: str = field(repr=False)


@dataclass(frozen=True)
class SliceHeader:
    """One CT slice, without its pixels.

    Attributes:
        file: where the slice is.
        frame: number of the frame in a multi-frame file, from 0; None in a file of one slice.
        number: InstanceNumber, for messages only.
        position_mm: centre of the first pixel, LPS.
        orientation: unit vectors along a row and along a column, LPS.
        pixel_spacing_mm: distance between rows, and between columns.
        matrix: number of rows, and of columns.
        slope, intercept: HU = slope * stored value + intercept.
        sex, age_years, weight_kg, tube_voltage_kvp: None where absent or impossible.
    """

    file: DicomFile = field(repr=False)
    frame: int | None
    number: int | None
    position_mm: Triple
    orientation: tuple[Triple, Triple]
    pixel_spacing_mm: tuple[float, float]
    matrix: tuple[int, int]
    slope: float
    intercept: float
    sex: Sex | None
    age_years: float | None
    weight_kg: float | None
    tube_voltage_kvp: float | None

    @property
    def normal(self) -> Triple:
        """Unit vector across the slice, LPS."""
        x, y, z = np.cross(*self.orientation)
        return float(x), float(y), float(z)

    @property
    def height_mm(self) -> float:
        """Position along the slice's own normal."""
        return float(np.dot(self.position_mm, self.normal))

    def __str__(self) -> str:
        number = "without number" if self.number is None else str(self.number)
        return f"{number} (at {self.height_mm:.2f} mm)"


def read_dataset(stream: IO[bytes], tags: list[str]) -> Dataset:
    """Return the named tags of an opened DICOM file.

    Raises:
        ScanError: the file is damaged.
    """
    try:
        with quiet(LIBRARY_LOGGER):
            # Forced, since files from before 1995 have no preamble; what they are was checked.
            dataset = pydicom.dcmread(
                stream, stop_before_pixels="PixelData" not in tags, specific_tags=tags, force=True
            )
    except DAMAGED:
        # The cause may quote header values.
        raise ScanError("the file is truncated or damaged") from None
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, _ = dataset.original_encoding
        syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        dataset.file_meta.TransferSyntaxUID = syntax
    return dataset


def kind_of(dataset: Dataset) -> Kind:
    """Return what a file holds, from its SOP class and image type."""
    sop_class = _text(dataset, "SOPClassUID") or _media_class(dataset)
    image_type = _text(dataset, "ImageType").split("\\")
    if sop_class in (EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage):
        return Kind.ENHANCED
    if sop_class.startswith(SECONDARY_CAPTURE_PREFIX):
        return Kind.SECONDARY_CAPTURE
    if sop_class.startswith(REPORT_PREFIX):
        return Kind.REPORT
    if sop_class == MediaStorageDirectoryStorage:
        return Kind.DIRECTORY
    if sop_class != CTImageStorage:
        return Kind.OTHER
    if "LOCALIZER" in image_type:
        return Kind.LOCALIZER
    if "SECONDARY" in image_type and not _text(dataset, "ImagePositionPatient"):
        return Kind.SECONDARY_CAPTURE
    return Kind.CT_SLICE


def series_key(dataset: Dataset) -> SeriesKey:
    """Return which series of which patient a file belongs to; the study stands in for no id."""
    number = (_numbers(dataset, "SeriesNumber") or [0.0])[0]
    patient = _text(dataset, "PatientID") or _text(dataset, "StudyInstanceUID")
    return SeriesKey(number, _text(dataset, "SeriesInstanceUID"), patient)


def slice_headers(file: DicomFile, dataset: Dataset, kind: Kind) -> list[SliceHeader]:
    """Return the header of a CT slice, or those of an enhanced CT's frames.

    Raises:
        ScanError: something is missing or impossible without which there is no geometry or HU.
    """
    if kind is Kind.ENHANCED:
        return [
            _slice_header(file, frame, index)
            for index, frame in enumerate(_frames(dataset))
            if "LOCALIZER" not in _text(frame, "FrameType").split("\\")
        ]
    frames = _numbers(dataset, "NumberOfFrames")
    if frames and frames[0] > 1:
        raise ScanError(
            f"{_name(dataset)}: several frames in a file of the single-frame kind, which states no "
            "position for each; export the series again as enhanced CT or one file per slice"
        )
    return [_slice_header(file, dataset, None)]


def _frames(dataset: Dataset) -> Iterator[Dataset]:
    """Give each frame of an enhanced CT as a header like that of a single slice."""
    shared = _items(dataset, "SharedFunctionalGroupsSequence")[:1]
    per_frame = _items(dataset, "PerFrameFunctionalGroupsSequence")
    if not per_frame or len(per_frame) != (_numbers(dataset, "NumberOfFrames") or [0])[0]:
        raise ScanError(
            "an enhanced multi-frame CT does not describe each of its frames; export it again"
        )
    for number, own in enumerate(per_frame, start=1):
        frame = Dataset()
        frame.update({tag: element for tag, element in dataset.items() if element.VR != "SQ"})
        frame.InstanceNumber = number
        for sequence, keywords in FRAME_GROUPS.items():
            groups = [item for one in (*shared, own) for item in _items(one, sequence)[:1]]
            for keyword in keywords:
                for group in groups:
                    if keyword in group:
                        frame[keyword] = group[keyword]
        yield frame


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence; none when it is absent or damaged."""
    try:
        with quiet(LIBRARY_LOGGER):
            return list(dataset.get(keyword) or [])
    except DAMAGED:
        return []


def _slice_header(file: DicomFile, dataset: Dataset, frame: int | None) -> SliceHeader:
    _check_scale(dataset)
    numbers = _numbers(dataset, "InstanceNumber")
    row_spacing_mm, column_spacing_mm = _required(dataset, "PixelSpacing", 2)
    if min(row_spacing_mm, column_spacing_mm) <= 0:
        raise ScanError(f"{_name(dataset)}: PixelSpacing must be positive; export the series again")
    rows, columns = _required(dataset, "Rows", 1)[0], _required(dataset, "Columns", 1)[0]
    x, y, z = _required(dataset, "ImagePositionPatient", 3)
    return SliceHeader(
        file=file,
        frame=frame,
        number=int(numbers[0]) if numbers else None,
        position_mm=(x, y, z),
        orientation=_orientation(dataset),
        pixel_spacing_mm=(row_spacing_mm, column_spacing_mm),
        matrix=(int(rows), int(columns)),
        slope=_required(dataset, "RescaleSlope", 1)[0],
        intercept=_required(dataset, "RescaleIntercept", 1)[0],
        sex=sex_from_header(_text(dataset, "PatientSex")),
        age_years=age_years_from_header(_text(dataset, "PatientAge")),
        weight_kg=weight_kg_from_header(_text(dataset, "PatientWeight")),
        tube_voltage_kvp=_tube_voltage_kvp(dataset),
    )


def _tube_voltage_kvp(dataset: Dataset) -> float | None:
    low, high = TUBE_VOLTAGES_KVP
    return next((kvp for kvp in _numbers(dataset, "KVP")[:1] if low <= kvp <= high), None)


def _check_scale(dataset: Dataset) -> None:
    scale = _text(dataset, "RescaleType").upper()
    if scale in OTHER_SCALES:
        raise ScanError(
            f"{_name(dataset)}: voxels are scaled to {scale}, not HU; give the series in HU"
        )


def _orientation(dataset: Dataset) -> tuple[Triple, Triple]:
    cosines = _required(dataset, "ImageOrientationPatient", 6)
    row, column = np.array(cosines[:3]), np.array(cosines[3:])
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if not np.allclose([*lengths, row @ column], [1, 1, 0], atol=1e-3):
        raise ScanError(
            f"{_name(dataset)}: ImageOrientationPatient is not two unit vectors at a right angle; "
            "export the series again"
        )
    (a, b, c), (d, e, f) = (row / lengths[0]).tolist(), (column / lengths[1]).tolist()
    return (a, b, c), (d, e, f)


def _required(dataset: Dataset, keyword: str, count: int) -> list[float]:
    numbers = _numbers(dataset, keyword)
    if len(numbers) != count:
        raise ScanError(
            f"{_name(dataset)}: {keyword} is missing or unusable, without which there is no "
            "geometry in mm or no HU; export the series again as original CT images"
        )
    return numbers


def _name(dataset: Dataset) -> str:
    numbers = _numbers(dataset, "InstanceNumber")
    return f"slice {int(numbers[0])}" if numbers else "a slice without number"


def _numbers(dataset: Dataset, keyword: str) -> list[float]:
    """Return the finite numbers of a tag; none when it is absent or not numeric."""
    try:
        numbers = [float(part) for part in _text(dataset, keyword).split("\\")]
    except ValueError:
        return []
    return numbers if np.isfinite(numbers).all() else []


def _text(dataset: Dataset, keyword: str) -> str:
    """Return a tag as the text that stands in the file; empty when absent or unreadable."""
    try:
        with quiet(LIBRARY_LOGGER):
            value = dataset.get(keyword)
    except DAMAGED:
        return ""
    if value is None:
        return ""
    parts = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else value
    return "\\".join(str(part) for part in parts).strip()


def _media_class(dataset: Dataset) -> str:
    return _text(getattr(dataset, "file_meta", Dataset()), "MediaStorageSOPClassUID")
