"""One femur grown from its head, cut at the joint and trimmed to the half-maximum edge."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from qctkit.boxes import box_about, distances
from qctkit.segmentation.fill import fill_planes
from qctkit.segmentation.morphology import close, grow, shrink
from qctkit.segmentation.surface import REACH_MM, HeadSurface
from qctkit.volume import Mask

GROWN_HU = 160.0
"""Bone for growing: low, so that the thin cortex of a trochanter closes; trimmed afterwards."""

LEAST_BONE_HU = 200.0
"""Half maximum of the thinnest cortex; blurred muscle stays below it."""

MOST_BONE_HU = 600.0
"""Half maximum of a thick cortex (1200 HU) beside muscle."""

SOFT_TISSUE_HU = 50.0
PEAK_REACH_MM = 3.0
"""A voxel at the edge of the bone lies this close to the peak of its cortex."""

WALL_MM = 9.0
"""Thickness of the shell around the head that is not femur: joint space and acetabulum."""

NECK_COSINE = 0.64
"""Within 50 degrees of the neck's axis the femur leaves its head."""

BEHIND_COSINE = 0.35
"""No part of a femur outside its head lies farther than 70 degrees off the neck's axis, as seen
from the centre of the head."""

TRIM_MM = 3.0
OPENING_MM = 2.5
"""Bridges thinner than twice this, of the rim of the acetabulum to the neck, are cut."""

CLOSING_MM = 3.0
"""Gaps in a thin cortex that are bridged before its inside is filled."""

LARGEST_HOLE_MM2 = 900.0


def grow_femur(image_hu: NDArray[np.float32], spacing_mm: float, surface: HeadSurface) -> Mask:
    """Return the filled femur of a head ``(D, H, W)``; empty where nothing grew."""
    head, wall = head_and_wall(image_hu.shape, spacing_mm, surface)
    smooth = ndimage.gaussian_filter(image_hu, 0.5 / spacing_mm)
    bone = (smooth > GROWN_HU) & ~wall
    closed = close(bone | head, CLOSING_MM, spacing_mm) & ~wall
    cavities = _fill(closed, spacing_mm) & ~closed & ~wall
    solid = close(bone | head | cavities, 1.5, spacing_mm) & ~wall
    solid = _fill(solid, spacing_mm) & ~wall
    femur = _part_with(solid, head, spacing_mm)
    return _trim(femur, wall, smooth, spacing_mm)


def head_and_wall(
    shape: tuple[int, ...], spacing_mm: float, surface: HeadSurface
) -> tuple[Mask, Mask]:
    """Return the head within its surface, and the shell about it that cannot be femur."""
    head = np.zeros(shape, dtype=bool)
    wall = _behind(shape, surface)
    reach_mm = surface.radius_mm + WALL_MM + REACH_MM
    box = box_about(surface.centre, reach_mm / spacing_mm, shape)
    distance_mm = distances(surface.centre, box) * spacing_mm
    near = distance_mm < reach_mm
    distance_mm = distance_mm[near]
    start = np.array([side.start for side in box])
    offsets = (np.argwhere(near) + start - surface.centre) * spacing_mm
    towards = offsets / np.maximum(distance_mm, 1e-6)[:, None]
    angles, rays = cKDTree(surface.directions).query(towards, k=3)
    weights = 1.0 / (np.asarray(angles) + 0.01)
    radii_mm = (surface.radii_mm[rays] * weights).sum(-1) / weights.sum(-1)
    along_neck = towards @ surface.neck
    off_neck = along_neck < NECK_COSINE
    within = distance_mm <= radii_mm
    head[box][near] = within & (off_neck | (distance_mm < 0.9 * surface.radius_mm))
    behind = along_neck < BEHIND_COSINE
    wall[box][near] = ~within & (behind | (off_neck & (distance_mm < radii_mm + WALL_MM)))
    return head, wall


def _behind(shape: tuple[int, ...], surface: HeadSurface) -> Mask:
    """Return the voxels far off the neck's axis, on the pelvic side of the head."""
    d, h, w = (np.arange(n) - c for n, c in zip(shape, surface.centre, strict=True))
    d, h, w = d[:, None, None], h[None, :, None], w[None, None, :]
    along = d * surface.neck[0] + h * surface.neck[1] + w * surface.neck[2]
    return np.asarray(along < BEHIND_COSINE * np.sqrt(d**2 + h**2 + w**2))


def _fill(mask: Mask, spacing_mm: float) -> Mask:
    return fill_planes(mask, int(LARGEST_HOLE_MM2 / spacing_mm**2))


def _part_with(solid: Mask, head: Mask, spacing_mm: float) -> Mask:
    """Return what hangs together with the head by more than thin bridges."""
    core = shrink(solid, OPENING_MM, spacing_mm) | head
    labels, _ = ndimage.label(core)
    chosen = np.bincount(labels[head])
    if len(chosen) < 2:
        return np.zeros_like(solid)
    chosen[0] = 0
    part = labels == chosen.argmax()
    return solid & grow(part, OPENING_MM + 1.5 * spacing_mm, spacing_mm)


def _trim(femur: Mask, wall: Mask, smooth: NDArray[np.float32], spacing_mm: float) -> Mask:
    """Return the femur with its surface at half the height of the cortex beneath.

    Voxels below half of the local peak are taken off from the outside, at most ``TRIM_MM``
    deep; marrow and trabecular bone below that stay, since the cortex lies between.
    """
    size = 2 * round(PEAK_REACH_MM / spacing_mm) + 1
    peak = ndimage.maximum_filter(smooth, size=size)
    half = np.clip(0.5 * (peak + SOFT_TISSUE_HU), LEAST_BONE_HU, MOST_BONE_HU)
    rind = femur & ~shrink(femur, TRIM_MM, spacing_mm)
    loose = rind & (smooth < half) & ~grow(wall, 1.5, spacing_mm)
    outside = ndimage.binary_propagation(grow(~femur, spacing_mm, spacing_mm) & loose, mask=loose)
    trimmed = _fill(close(femur & ~outside, 1.5, spacing_mm) & ~wall, spacing_mm) & ~wall
    labels, _ = ndimage.label(trimmed)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax()) if sizes.any() else trimmed
