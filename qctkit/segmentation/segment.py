"""The order of the steps from a volume to femur masks."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qctkit.boxes import Box, bounding_box
from qctkit.cohort import FemurMask, MaskOrigin, Side
from qctkit.errors import SegmentationError
from qctkit.geometry import FloatArray, Geometry, Triple
from qctkit.segmentation.doubts import find_doubts
from qctkit.segmentation.edge import signed_edge_mm
from qctkit.segmentation.femur import grow_femur
from qctkit.segmentation.grid import isotropic_grid, resample, to_native
from qctkit.segmentation.heads import HeadCandidate, find_heads
from qctkit.segmentation.metal import find_metal, metal_near
from qctkit.segmentation.spheres import Ball
from qctkit.segmentation.surface import SOUND_QUALITY, HeadSurface, find_surface
from qctkit.volume import Mask, Volume

SEARCH_MM = 2.0
LARGEST_SCAN_MM = 1500.0
"""A scan longer than this along an axis is not searched: more likely its spacing is wrong, and time
and memory grow with the volume."""

BODY_HU = -300.0
FINE_MM = 1.0
MARGIN_MM = 12.0
NECK_MM = 50.0
HEAD_BOX_MM = 55.0
ABOVE_MM, MEDIAL_MM, LATERAL_MM = 50.0, 60.0, 130.0
"""How far a femur is looked for from the centre of its head; in other directions, as far as the
scan goes."""

EDGE_MARGIN = 8
"""Voxels around a mask within which its edge may lie and is smoothed."""

SAME_HIP_MM = 90.0
"""Closer than this, two candidates belong to one hip; the heads of two hips are 150 mm apart."""

CLEARLY_BETTER = 1.3
"""Below a sound quality of its sphere, a head yields to another candidate this much better."""

TRIED_HEADS = 6

LEAST_VOLUME_MM3 = 40_000.0
"""An adult's head, neck and trochanters fill 100 cm3 and more; scans may cut a part."""

IMPLANT_REACH_MM = 5.0

WAY_OUT = (
    "give a mask of the femur in the `mask` column of the table of subjects, or a scan that shows "
    "the head, the neck and the trochanters"
)


@dataclass(frozen=True, eq=False)
class SegmentedFemur:
    """A femur that was found, with what is known of how well.

    Attributes:
        mask: the filled femur, its side and its origin.
        head_mm: centre of the head, world (RAS), mm.
        head_radius_mm: radius of the sphere fitted to the head.
        doubts: reasons to look at the mask before trusting it, in plain words; empty where
            nothing speaks against it.
    """

    mask: FemurMask
    head_mm: Triple
    head_radius_mm: float
    doubts: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What a scan shows of proximal femora.

    Attributes:
        femora: those found and usable, left before right.
        left_out: those found and refused, each with its side and the reason.
    """

    femora: tuple[SegmentedFemur, ...]
    left_out: tuple[str, ...]

    @property
    def hips_in_view(self) -> int:
        """Number of proximal femora found, usable or not."""
        return len(self.femora) + len(self.left_out)


def segment_femora(volume: Volume) -> Segmentation:
    """Return the filled mask ``(D, H, W)`` of each proximal femur in view, with doubts.

    Voxels must be HU or near them. Cortex, marrow cavity and trabecular bone are all in the
    mask; the acetabulum is not. Femora with an implant are left out, with the reason.

    Raises:
        SegmentationError: no femur is found, or only femora that are left out; or the scan is too
            thin or too large to look for one.
    """
    _check_extent(volume.geometry)
    grid, coarse = _search_grid(volume)
    metal = find_metal(volume)
    heads = find_heads(coarse, SEARCH_MM)
    femora: list[SegmentedFemur] = []
    left_out: list[str] = []
    done_mm: list[FloatArray] = []
    for head in heads[:TRIED_HEADS]:
        centre_mm = grid.to_world(head.ball.centre)
        if any(np.linalg.norm(centre_mm - other) < SAME_HIP_MM for other in done_mm):
            continue
        located = _locate(volume, grid, _alternatives(head, heads))
        mask = _segment_one(volume, grid, coarse, located)
        if np.count_nonzero(mask) * volume.geometry.voxel_volume_mm3 < LEAST_VOLUME_MM3:
            continue
        done_mm.append(centre_mm)
        side = Side.RIGHT if located.surface.neck[2] > 0.0 else Side.LEFT
        if metal_near(mask, metal, volume.spacing_mm, IMPLANT_REACH_MM):
            left_out.append(f"{side} femur: a metal implant lies within {IMPLANT_REACH_MM:g} mm")
        elif all(other.mask.side is not side for other in femora):
            femora.append(_femur(FemurMask(mask, side, MaskOrigin.SEGMENTED), located, volume))
    if not femora:
        raise SegmentationError(_nothing_usable(left_out, len(heads), bool(metal.any())))
    femora.sort(key=lambda femur: femur.mask.side is Side.RIGHT)
    return Segmentation(tuple(femora), tuple(left_out))


def _check_extent(geometry: Geometry) -> None:
    """Refuse scans in which there is nothing to search, or in which the search would never end."""
    shape = isotropic_grid(geometry, SEARCH_MM).shape
    spacing = " x ".join(f"{one:g}" for one in geometry.spacing_mm)
    what = f"the scan has {' x '.join(map(str, geometry.shape))} voxels of {spacing} mm"
    if min(shape) < 2:
        raise SegmentationError(
            f"{what}, less than {SEARCH_MM:g} mm along one axis: too thin to look for a femur in; "
            f"{WAY_OUT}"
        )
    if (longest_mm := max(shape) * SEARCH_MM) > LARGEST_SCAN_MM:
        raise SegmentationError(
            f"{what}, {longest_mm:g} mm along one axis, and up to {LARGEST_SCAN_MM:g} mm are "
            "searched for a femur; if the spacing is wrong, mend it, else crop the scan to the "
            "hips, or give a mask of the femur in the `mask` column of the table of subjects"
        )


def _femur(mask: FemurMask, located: "Located", volume: Volume) -> SegmentedFemur:
    surface = located.surface
    x, y, z = (float(value) for value in located.grid.to_world(surface.centre))
    doubts = find_doubts(mask.voxels, volume.geometry, surface, z)
    return SegmentedFemur(mask, (x, y, z), surface.radius_mm, doubts)


def _nothing_usable(left_out: list[str], candidates: int, metal: bool) -> str:
    if left_out:
        return (
            f"no usable proximal femur: {'; '.join(left_out)}. Densities beside metal cannot be "
            f"trusted. Leave this scan out, or {WAY_OUT}"
        )
    hint = "; the scan shows a large piece of metal, maybe a hip replacement" if metal else ""
    return (
        "no proximal femur found: looked for a femoral head of 36 to 58 mm with a neck that leads "
        f"to a shaft, found {candidates} ball-like places and no femur at any of them{hint}; "
        f"{WAY_OUT}"
    )


def _search_grid(volume: Volume) -> tuple[Geometry, NDArray[np.float32]]:
    """Return the body on a coarse grid: a search through the air around it is wasted."""
    grid = isotropic_grid(volume.geometry, SEARCH_MM)
    image_hu = resample(volume, grid)
    body = bounding_box(image_hu > BODY_HU, 1)
    return grid.crop(body), image_hu[body]


@dataclass(frozen=True, eq=False)
class Located:
    """A head's surface with the grid in whose indices it is."""

    surface: HeadSurface
    grid: Geometry


def _alternatives(head: HeadCandidate, heads: list[HeadCandidate]) -> list[HeadCandidate]:
    """Return a candidate and the next likely one of the same hip."""
    near = [
        other
        for other in heads[:TRIED_HEADS]
        if other is not head
        and np.linalg.norm(np.subtract(other.ball.centre, head.ball.centre)) * SEARCH_MM < 50.0
    ]
    return [head, *near[:1]]


def _locate(volume: Volume, grid: Geometry, candidates: list[HeadCandidate]) -> Located:
    """Return the first candidate's surface, or a clearly better one where that is poor."""
    tried: list[Located] = []
    for candidate in candidates:
        centre_mm = grid.to_world(candidate.ball.centre)[None]
        near_grid = _box_around(centre_mm, HEAD_BOX_MM, volume.geometry)
        near = resample(volume, near_grid)
        surface = find_surface(near, FINE_MM, _moved(candidate, grid, near_grid))
        tried.append(Located(surface, near_grid))
        if surface.quality > SOUND_QUALITY:
            break
    last = tried[-1]
    better = last.surface.quality > CLEARLY_BETTER * tried[0].surface.quality
    return last if better else tried[0]


def _segment_one(
    volume: Volume, grid: Geometry, coarse: NDArray[np.float32], located: Located
) -> Mask:
    """Return the mask of one head's femur: roughly for its extent, then finely within that."""
    surface, near_grid = located.surface, located.grid
    head_mm = near_grid.to_world(surface.centre)
    reach = _reach(grid, head_mm, surface.neck[2])
    rough_grid = grid.crop(reach)
    rough = grow_femur(coarse[reach], SEARCH_MM, surface.on(near_grid, rough_grid))
    points_mm = rough_grid.to_world(np.argwhere(rough)) if rough.any() else np.empty((0, 3))
    bend_mm = head_mm + NECK_MM * (grid.directions @ surface.neck)
    around = np.array([[-40.0], [40.0]])
    extent_mm = np.vstack([points_mm, head_mm + around, bend_mm + around])
    fine_grid = _box_around(extent_mm, MARGIN_MM, volume.geometry)
    fine = resample(volume, fine_grid)
    mask = grow_femur(fine, FINE_MM, surface.on(near_grid, fine_grid))
    box = bounding_box(mask, EDGE_MARGIN)
    signed_mm = signed_edge_mm(mask[box], fine[box], FINE_MM)
    return to_native(signed_mm, fine_grid.crop(box), volume.geometry)


def _reach(grid: Geometry, head_mm: FloatArray, sideways: float) -> Box:
    """Return the part of a grid where the femur of a head can lie whose neck leads sideways."""
    outwards_mm = (MEDIAL_MM, LATERAL_MM) if sideways > 0.0 else (LATERAL_MM, MEDIAL_MM)
    d, _, w = grid.to_index(head_mm)
    depth, height, width = grid.shape
    top = int(np.clip(d + ABOVE_MM / SEARCH_MM, 1, depth))
    first, last = w - outwards_mm[0] / SEARCH_MM, w + outwards_mm[1] / SEARCH_MM
    across = slice(int(np.clip(first, 0, width - 1)), int(np.clip(last, 1, width)))
    return slice(0, top), slice(0, height), across


def _box_around(points_mm: FloatArray, margin_mm: float, native: Geometry) -> Geometry:
    """Return the fine grid about points and a margin, within the scan."""
    whole = isotropic_grid(native, FINE_MM)
    low = np.floor(whole.to_index(points_mm.min(axis=0) - margin_mm)).astype(int)
    high = np.ceil(whole.to_index(points_mm.max(axis=0) + margin_mm)).astype(int) + 1
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
