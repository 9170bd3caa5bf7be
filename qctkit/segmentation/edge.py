"""The true edge of a bone under a scanner's blur, finer than a voxel.

Half the height of the peak is the edge of a thick cortex only. A thin one is blurred into a low
and wide ridge, of which half the height lies outside the bone, by half a millimetre in clinical
scans. As in Treece et al. 2010 (Med Image Anal 14:276), the density of cortex is taken as known:
the height of the ridge then tells how thick the cortex is, in units of the blur, and so the HU
that the blurred image has right at the edge. The blur itself need not be known.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import ndtr

from qctkit.geometry import FloatArray
from qctkit.segmentation.grid import signed_distance_mm
from qctkit.volume import Mask

CORTEX_HU = 1250.0
"""Dense cortex at 120 to 140 kVp; the 99th percentile of the real scans' bone is 1290 to 1430."""

TRABECULAR_HU, SOFT_TISSUE_HU = 120.0, 50.0
"""What lies inside and outside of a typical thin cortex."""

DEPTHS_MM = np.arange(-4.0, 2.01, 0.25)
"""Where a profile across the surface is sampled: inside negative, outside positive."""

LARGEST_SHIFT_MM = 2.0
SMOOTH_MM = 2.0
"""Neighbouring points of the surface agree over about this distance."""


def signed_edge_mm(
    mask: Mask, image_hu: NDArray[np.float32], spacing_mm: float
) -> NDArray[np.float32]:
    """Return the distance to the edge of a mask's bone ``(D, H, W)``, mm, positive inside."""
    signed_mm = ndimage.gaussian_filter(signed_distance_mm(mask, spacing_mm), 0.7)
    points, inward = _surface(signed_mm, spacing_mm)
    at_mm = signed_mm[tuple(points.T)]
    shift_mm = _shift_mm(image_hu, points, inward, at_mm, spacing_mm)
    known = np.isfinite(shift_mm)
    where = tuple(points[known].T)
    total = np.zeros(mask.shape, dtype=np.float32)
    count = np.zeros(mask.shape, dtype=np.float32)
    total[where] = shift_mm[known]
    count[where] = 1.0
    total = ndimage.gaussian_filter(total, SMOOTH_MM / spacing_mm, truncate=3.0)
    count = ndimage.gaussian_filter(count, SMOOTH_MM / spacing_mm, truncate=3.0)
    return np.asarray(signed_mm + total / (count + 1e-4))


def edge_hu(peak_hu: FloatArray) -> FloatArray:
    """Return the HU at the outer edge of a blurred cortex whose ridge has the given height.

    In units of the blur, a cortex of thickness t between soft tissue S and trabecular bone T
    shows S + (C - S) (N(x) - N(x - t)) + (T - S) N(x - t) at depth x, N the normal distribution.
    """
    thickness = np.linspace(0.0, 6.0, 200)[:, None]
    depth = np.linspace(0.0, 6.0, 121)[None]
    within = ndtr(depth - thickness)
    ridge = (
        SOFT_TISSUE_HU
        + (CORTEX_HU - SOFT_TISSUE_HU) * (ndtr(depth) - within)
        + (TRABECULAR_HU - SOFT_TISSUE_HU) * within
    )
    return np.asarray(np.interp(peak_hu, ridge.max(axis=1), ridge[:, 0]))


def _surface(
    signed_mm: NDArray[np.float32], spacing_mm: float
) -> tuple[NDArray[np.intp], FloatArray]:
    """Return the voxels at a surface ``(n, 3)`` and their unit vectors into the bone."""
    points = np.argwhere(np.abs(signed_mm) < 0.6 * spacing_mm)
    gradient = list(np.gradient(signed_mm))
    inward = np.stack([along[tuple(points.T)] for along in gradient], axis=-1).astype(np.float64)
    size = np.linalg.norm(inward, axis=1)
    clear = size > 0.1
    return points[clear], inward[clear] / size[clear, None]


def _shift_mm(
    image_hu: NDArray[np.float32],
    points: NDArray[np.intp],
    inward: FloatArray,
    at_mm: NDArray[np.float32],
    spacing_mm: float,
) -> FloatArray:
    """Return how far outside the mask's surface the edge lies at each point, mm; NaN if unknown.

    From the peak of the cortex outwards, the edge is where HU first fall below its edge's.
    """
    depths_mm = DEPTHS_MM[None, :] + at_mm[:, None]
    where = points[:, None, :] - inward[:, None, :] * (depths_mm / spacing_mm)[..., None]
    values = ndimage.map_coordinates(
        image_hu, np.moveaxis(where, -1, 0), order=1, mode="nearest", output=np.float32
    )
    values = ndimage.gaussian_filter1d(values, 1.0, axis=1)
    within = np.where(DEPTHS_MM <= 0.0, values, -np.inf)
    level = edge_hu(within.max(axis=1))
    outwards = np.arange(len(DEPTHS_MM)) > within.argmax(axis=1)[:, None]
    below = (values < level[:, None]) & outwards
    first = np.maximum(below.argmax(axis=1), 1)
    rows = np.arange(len(points))
    before, after = values[rows, first - 1], values[rows, first]
    part = np.clip((before - level) / np.maximum(before - after, 1e-3), 0.0, 1.0)
    shift_mm = DEPTHS_MM[first - 1] + part * (DEPTHS_MM[1] - DEPTHS_MM[0])
    usable = below.any(axis=1) & (np.abs(shift_mm) <= LARGEST_SHIFT_MM)
    return np.where(usable, shift_mm, np.nan)
