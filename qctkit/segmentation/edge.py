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

import os
CORTEX_HU = float(os.environ.get('CORTEX','1250'))
"""Dense cortex."""

TRABECULAR_HU = float(os.environ.get('TRAB','120'))
SOFT_TISSUE_HU = float(os.environ.get('SOFT','50'))

DEPTHS_MM = np.arange(-4.0, 2.01, 0.25)
"""Where a profile across the surface is sampled: inside negative, outside positive."""

LARGEST_SHIFT_MM = 2.0
SMOOTH_MM = float(os.environ.get('SM','2'))
"""Neighbouring points of the surface agree over about this distance."""


def signed_edge_mm(
    mask: Mask, image_hu: NDArray[np.float32], spacing_mm: float
) -> NDArray[np.float32]:
    """Return the distance to the edge of the bone of a mask, mm, positive inside, ``(D, H, W)``."""
    signed = signed_distance_mm(mask, spacing_mm)
    smooth = ndimage.gaussian_filter(signed, 0.7)
    points = np.argwhere(np.abs(smooth) < 0.6 * spacing_mm)
    inward = np.stack([g[tuple(points.T)] for g in np.gradient(smooth)], axis=-1)
    size = np.linalg.norm(inward, axis=1)
    points, inward, size = points[size > 0.1], inward[size > 0.1], size[size > 0.1]
    at_mm = smooth[tuple(points.T)]
    shift_mm = _edge_mm(image_hu, points, inward / size[:, None], at_mm, spacing_mm)
    known = np.isfinite(shift_mm)
    total = np.zeros(mask.shape, dtype=np.float32)
    weight = np.zeros(mask.shape, dtype=np.float32)
    total[tuple(points[known].T)] = shift_mm[known]
    weight[tuple(points[known].T)] = 1.0
    total = ndimage.gaussian_filter(total, SMOOTH_MM / spacing_mm, truncate=3)
    weight = ndimage.gaussian_filter(weight, SMOOTH_MM / spacing_mm, truncate=3)
    return smooth + total / (weight + 1e-4)


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
    return np.interp(peak_hu, ridge.max(axis=1), ridge[:, 0])


def _edge_mm(image_hu, points, inward, at_mm, spacing_mm):
    """Return how far outwards of the mask's surface the edge lies at each point, mm, or NaN."""
    depths = DEPTHS_MM[None, :] + at_mm[:, None]
    where = points[:, None, :] - inward[:, None, :] * (depths / spacing_mm)[..., None]
    values = ndimage.map_coordinates(
        image_hu, np.moveaxis(where, -1, 0), order=1, mode="nearest", output=np.float32
    )
    values = ndimage.gaussian_filter1d(values, 1.0, axis=1)
    within = np.where(DEPTHS_MM <= 0.0, values, -np.inf)
    top = within.argmax(axis=1)
    level = edge_hu(within.max(axis=1))
    below = (values < level[:, None]) & (np.arange(len(DEPTHS_MM)) > top[:, None])
    found = below.any(axis=1)
    first = np.maximum(below.argmax(axis=1), 1)
    rows = np.arange(len(points))
    before, after = values[rows, first - 1], values[rows, first]
    part = np.clip((before - level) / np.maximum(before - after, 1e-3), 0.0, 1.0)
    edge = DEPTHS_MM[first - 1] + part * (DEPTHS_MM[1] - DEPTHS_MM[0])
    return np.where(found & (np.abs(edge) <= LARGEST_SHIFT_MM), edge, np.nan)
