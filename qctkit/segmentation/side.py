"""The side of the body that a femur belongs to."""

import numpy as np

from qctkit.cohort import Side
from qctkit.errors import SegmentationError
from qctkit.geometry import FloatArray, Geometry
from qctkit.volume import Mask

PROXIMAL_MM = 90.0
"""Length below the top in which head, neck and trochanters lie."""

LARGEST_SAMPLE = 200_000


def femur_side(mask: Mask, geometry: Geometry) -> Side:
    """Return the side of the body, from a femur mask ``(D, H, W)`` alone.

    The head lies farther from the axis of the shaft than the greater trochanter does, and
    medially: towards the patient's right (+x) for a left femur. The asymmetry is read off as
    the sign of the mean cubed distance from the axis along x.

    Raises:
        SegmentationError: the mask is empty or of another shape than the geometry.
    """
    if mask.shape != geometry.shape or not mask.any():
        raise SegmentationError(
            f"a side needs a femur mask of shape {geometry.shape} that is not empty, got shape "
            f"{mask.shape} with {int(mask.sum())} voxels"
        )
    indices = np.argwhere(mask)
    points_mm = geometry.to_world(indices[:: max(1, len(indices) // LARGEST_SAMPLE)])
    axis_x_mm = _shaft_x_mm(points_mm)
    proximal = points_mm[:, 2] > points_mm[:, 2].max() - PROXIMAL_MM
    medial = ((points_mm[:, 0] - axis_x_mm)[proximal] ** 3).mean()
    return Side.LEFT if medial > 0 else Side.RIGHT


def _shaft_x_mm(points_mm: FloatArray) -> FloatArray:
    """Return x of the shaft's axis at the height of each point, mm.

    The axis is a line through the narrower slices of the lower half; where the scan shows too
    little shaft to tell a slope, it is upright.
    """
    z_mm = points_mm[:, 2]
    bins = np.floor((z_mm - z_mm.min()) / 4.0).astype(int)
    count = np.bincount(bins)
    centre_x_mm = np.bincount(bins, points_mm[:, 0]) / np.maximum(count, 1)
    lower = np.arange(len(count)) < max(2, len(count) // 2)
    narrow = lower & (count > 0) & (count <= 1.3 * np.median(count[lower & (count > 0)]))
    heights = z_mm.min() + 4.0 * np.arange(len(count))[narrow] + 2.0
    x_mm = centre_x_mm[narrow]
    if np.ptp(heights) < 40.0:
        return np.full(len(points_mm), x_mm.mean())
    slope, start = np.polyfit(heights, x_mm, 1)
    return np.asarray(start + slope * z_mm)
