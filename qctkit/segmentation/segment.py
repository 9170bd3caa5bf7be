"""The order of the steps from a volume to femur masks."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from qctkit.cohort import FemurMask, MaskOrigin, Side
from qctkit.errors import SegmentationError
from qctkit.geometry import Geometry
from qctkit.segmentation.femur import grow_femur
from qctkit.segmentation.grid import isotropic_grid, resample, to_native
from qctkit.segmentation.heads import HeadCandidate, find_heads
from qctkit.segmentation.metal import find_metal
from qctkit.segmentation.side import femur_side
from qctkit.segmentation.spheres import Ball
from qctkit.segmentation.surface import find_surface
from qctkit.volume import Mask, Volume

SEARCH_MM = 2.0
FINE_MM = 1.0
MARGIN_MM = 12.0
TRIED_HEADS = 6

LEAST_VOLUME_MM3 = 40_000.0
"""An adult's head, neck and trochanters fill 100 cm3 and more; scans may cut a part."""

IMPLANT_REACH_MM = 5.0

WAY_OUT = (
    "give a mask of the femur in the `mask` column of the table of subjects, or a scan that shows "
    "the head, the neck and the trochanters"
)


@dataclass(frozen=True, eq=False)
class Found:
    """What the search came to: femora kept, and femora left out for their implants."""

    femora: tuple[FemurMask, ...]
    implants: int
    candidates: int


def segment_femora(volume: Volume) -> tuple[FemurMask, ...]:
    """Return one filled mask ``(D, H, W)`` per proximal femur in view, left before right.

    Voxels must be HU or near them. Cortex, marrow cavity and trabecular bone are all in the
    mask; the acetabulum is not. Femora with an implant are left out.

    Raises:
        SegmentationError: no femur is found, or only femora with implants.
    """
    found = _search(volume)
    if found.femora:
        return found.femora
    if found.implants:
        raise SegmentationError(
            f"{found.implants} proximal femur with a metal implant was found and none without; "
            f"densities beside metal cannot be trusted. Leave this scan out, or {WAY_OUT}"
        )
    raise SegmentationError(
        "no proximal femur found: looked for a femoral head of 36 to 58 mm with a neck that leads "
        f"to a shaft, found {found.candidates} ball-like places and no femur at any of them; "
        f"{WAY_OUT}"
    )


def _search(volume: Volume) -> Found:
    grid = isotropic_grid(volume.geometry, SEARCH_MM)
    coarse = resample(volume, grid)
    metal = find_metal(volume)
    heads = find_heads(coarse, SEARCH_MM)
    femora: list[FemurMask] = []
    implants = 0
    taken = np.zeros(volume.geometry.shape, dtype=bool)
    for head in heads[:TRIED_HEADS]:
        if _is_taken(taken, head, grid, volume.geometry):
            continue
        mask = _segment_one(volume, grid, coarse, head)
        size_mm3 = mask.sum() * volume.geometry.voxel_volume_mm3
        if size_mm3 < LEAST_VOLUME_MM3 or (mask & taken).sum() > 0.2 * mask.sum():
            continue
        side = femur_side(mask, volume.geometry)
        if any(other.side is side for other in femora):
            continue
        taken |= mask
        if _has_implant(mask, metal, volume.geometry):
            implants += 1
        else:
            femora.append(FemurMask(mask, side, MaskOrigin.SEGMENTED))
    femora.sort(key=lambda femur: femur.side is Side.RIGHT)
    return Found(tuple(femora), implants, len(heads))


def _is_taken(taken: Mask, head: HeadCandidate, grid: Geometry, native: Geometry) -> bool:
    """Whether a head's centre lies in a femur that has been found already."""
    index = np.rint(native.to_index(grid.to_world(head.ball.centre))).astype(int)
    inside = bool(((index >= 0) & (index < native.shape)).all())
    return inside and bool(taken[tuple(index)])


def _segment_one(
    volume: Volume, grid: Geometry, coarse: NDArray[np.float32], head: HeadCandidate
) -> Mask:
    """Return the mask of one head's femur: roughly for its extent, then finely within that."""
    rough = grow_femur(coarse, SEARCH_MM, find_surface(coarse, SEARCH_MM, head))
    fine_grid = _box_around(rough, head, grid, volume.geometry)
    fine = resample(volume, fine_grid)
    surface = find_surface(fine, FINE_MM, _moved(head, grid, fine_grid))
    mask = grow_femur(fine, FINE_MM, surface)
    return to_native(mask, fine_grid, volume.geometry)


def _box_around(rough: Mask, head: HeadCandidate, grid: Geometry, native: Geometry) -> Geometry:
    """Return the fine grid about a rough mask and its head, within the scan."""
    centre_mm = grid.to_world(head.ball.centre)
    points_mm = np.vstack([centre_mm - 45.0, centre_mm + 45.0])
    if rough.any():
        points_mm = np.vstack([points_mm, grid.to_world(np.argwhere(rough))])
    whole = isotropic_grid(native, FINE_MM)
    low = np.floor(whole.to_index(points_mm.min(axis=0) - MARGIN_MM)).astype(int)
    high = np.ceil(whole.to_index(points_mm.max(axis=0) + MARGIN_MM)).astype(int) + 1
    return whole.crop(
        [
            slice(int(max(0, a)), int(min(n, b)))
            for a, b, n in zip(low, high, whole.shape, strict=True)
        ]
    )


def _moved(head: HeadCandidate, grid: Geometry, fine: Geometry) -> HeadCandidate:
    """Return a candidate in the indices of another grid with the same axes."""
    d, h, w = (float(i) for i in fine.to_index(grid.to_world(head.ball.centre)))
    return replace(head, ball=Ball((d, h, w), head.ball.radius_mm, head.ball.score))


def _has_implant(mask: Mask, metal: Mask, geometry: Geometry) -> bool:
    if not metal.any():
        return False
    away_mm = ndimage.distance_transform_edt(~metal, sampling=geometry.spacing_mm)
    return bool((mask & (away_mm <= IMPLANT_REACH_MM)).any())
