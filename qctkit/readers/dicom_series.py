"""From the slices of one series to one regular grid, or a clear refusal.

Order and spacing come from positions and orientation alone: file names, slice numbers and slice
thickness say nothing about where a slice lies.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from qctkit.errors import ScanError
from qctkit.geometry import SHEAR_TOLERANCE, FloatArray, Geometry
from qctkit.readers.dicom_header import SliceHeader

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
COSINE_TOLERANCE = 1e-3
PIXEL_SPACING_TOLERANCE_MM = 1e-4
DUPLICATE_MM = 1e-3
STEP_TOLERANCE_MM = 0.02
"""Positions are often rounded to 0.01 mm, each of the two that make a step."""
STEP_TOLERANCE = 0.01
"""Share of a step by which steps may differ."""
SIDEWAYS_TOLERANCE_MM = 0.05
SHOWN = 5
"""How many slices or gaps a message lists."""


def in_order(slices: Sequence[SliceHeader]) -> tuple[SliceHeader, ...]:
    """Return slices of one series by position along their normal.

    Raises:
        ScanError: they are too few, or differ in orientation, matrix or pixel spacing.
    """
    if len(slices) == 1:
        raise ScanError(
            f"there is only one CT slice, number {slices[0]}; spacing needs at least two: give the "
            "folder that holds the whole series"
        )
    _check_alike(slices, "orientation", _cosines, COSINE_TOLERANCE)
    _check_alike(slices, "matrix (rows, columns)", lambda one: one.matrix, 0)
    _check_alike(
        slices, "pixel spacing in mm", lambda one: one.pixel_spacing_mm, PIXEL_SPACING_TOLERANCE_MM
    )
    return tuple(sorted(slices, key=lambda s: s.height_mm))


def series_geometry(slices: Sequence[SliceHeader]) -> Geometry:
    """Return the geometry of ordered slices: d along the normal, h down rows, w along columns.

    Raises:
        ScanError: slices are duplicated, missing, unevenly spaced or sheared; they are named.
    """
    _check_duplicates(slices)
    complaints = [*_tilt(slices), *_shifts(slices), *_gaps(slices)]
    if complaints:
        raise ScanError("; ".join(complaints))
    first = slices[0]
    along_row, along_column = first.orientation
    row_spacing_mm, column_spacing_mm = first.pixel_spacing_mm
    affine = np.eye(4)
    affine[:3, 0] = _mean_step(slices)
    affine[:3, 1] = np.multiply(along_column, row_spacing_mm)
    affine[:3, 2] = np.multiply(along_row, column_spacing_mm)
    affine[:3, 3] = first.position_mm
    affine[:3] = LPS_TO_RAS @ affine[:3]
    return Geometry((len(slices), *first.matrix), affine)


def _check_alike(
    slices: Sequence[SliceHeader],
    what: str,
    values: Callable[[SliceHeader], tuple[float, ...]],
    tolerance: float,
) -> None:
    """Refuse slices that differ from the commonest values."""
    usual = Counter(values(one) for one in slices).most_common(1)[0][0]
    odd = [one for one in slices if np.abs(np.subtract(values(one), usual)).max() > tolerance]
    if odd:
        raise ScanError(
            f"slices differ in {what}: {_listed(odd)} have {_numbers(values(odd[0]))}, the others "
            f"{_numbers(usual)}; remove them or give each kind a folder of its own"
        )


def _cosines(one: SliceHeader) -> tuple[float, ...]:
    return (*one.orientation[0], *one.orientation[1])


def _numbers(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:.5g}" for value in values) + ")"


def _check_duplicates(slices: Sequence[SliceHeader]) -> None:
    heights_mm = _heights_mm(slices)
    pairs = [
        f"{slices[i]} and {slices[i + 1]}"
        for i in np.flatnonzero(np.diff(heights_mm) < DUPLICATE_MM).tolist()
    ]
    if pairs:
        raise ScanError(
            f"several slices lie at one position: {_some(pairs)}; keep one image per position (the "
            "series may hold copies, or several acquisitions or phases)"
        )


def _tilt(slices: Sequence[SliceHeader]) -> list[str]:
    """Complain when the slices are stacked at another angle than their normal."""
    step = _mean_step(slices)
    along = float(step @ slices[0].normal)
    sideways = float(np.linalg.norm(step - along * np.array(slices[0].normal)))
    if sideways <= SHEAR_TOLERANCE * float(np.linalg.norm(step)):
        return []
    angle = np.degrees(np.arctan2(sideways, along))
    return [
        f"the slices are stacked {angle:.1f} degrees off their normal (tilted gantry), from "
        f"{slices[0]} to {slices[-1]}; scan without tilt, or resample to a straight grid first"
    ]


def _shifts(slices: Sequence[SliceHeader]) -> list[str]:
    """Complain about slices shifted sideways against the line through the others."""
    positions = _positions_mm(slices)
    normal = np.array(slices[0].normal)
    heights = positions @ normal
    share = (heights - heights[0]) / (heights[-1] - heights[0])
    off = positions - positions[0] - share[:, None] * (positions[-1] - positions[0])
    off -= (off @ normal)[:, None] * normal
    odd = np.flatnonzero(np.linalg.norm(off, axis=1) > SIDEWAYS_TOLERANCE_MM).tolist()
    if not odd:
        return []
    return [
        f"slices are shifted sideways against the others: {_listed([slices[i] for i in odd])}; "
        "reconstruct the series with one centre"
    ]


def _gaps(slices: Sequence[SliceHeader]) -> list[str]:
    """Complain about steps that differ: missing slices where they are whole multiples."""
    steps_mm = np.diff(_heights_mm(slices))
    usual_mm = float(np.sort(steps_mm)[(steps_mm.size - 1) // 2])
    multiples = np.maximum(np.round(steps_mm / usual_mm), 1)
    tolerance_mm = max(STEP_TOLERANCE_MM, STEP_TOLERANCE * usual_mm)
    uneven = np.abs(steps_mm - usual_mm) > tolerance_mm
    if not uneven.any():
        return []
    pairs = [
        f"between {slices[i]} and {slices[i + 1]}, {steps_mm[i]:.2f} mm apart"
        for i in np.flatnonzero(uneven).tolist()
    ]
    if (np.abs(steps_mm - multiples * usual_mm) <= tolerance_mm * multiples).all():
        missing = int(np.sum(multiples - 1))
        return [
            f"{missing} slice{'s are' if missing > 1 else ' is'} missing (others are "
            f"{usual_mm:.2f} mm apart) {_some(pairs)}; export the whole series again"
        ]
    return [
        f"the slices are unevenly spaced (most are {usual_mm:.2f} mm apart): {_some(pairs)}; "
        "export the series again, or reconstruct or resample it with even spacing"
    ]


def _mean_step(slices: Sequence[SliceHeader]) -> FloatArray:
    positions = _positions_mm(slices)
    return np.asarray((positions[-1] - positions[0]) / (len(slices) - 1))


def _positions_mm(slices: Sequence[SliceHeader]) -> FloatArray:
    return np.array([s.position_mm for s in slices])


def _heights_mm(slices: Sequence[SliceHeader]) -> FloatArray:
    return np.asarray(_positions_mm(slices) @ np.array(slices[0].normal))


def _listed(slices: Sequence[SliceHeader]) -> str:
    return _some([str(s) for s in slices])


def _some(words: Sequence[str]) -> str:
    """Join the first few, and count the rest."""
    rest = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return ", ".join(words[:SHOWN]) + rest
