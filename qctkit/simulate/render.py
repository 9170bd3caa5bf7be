"""An anatomy on a grid: true HU with partial volume, and the femur mask."""

from dataclasses import dataclass

import numpy as np

from qctkit.geometry import Geometry, Triple
from qctkit.simulate.anatomy import Anatomy
from qctkit.simulate.pelvis import PLATE_THICKNESS_MM, TRABECULAR_FACTOR, pelvis_distance
from qctkit.simulate.quality import bone_quality
from qctkit.simulate.scanner import contrast, hu_of
from qctkit.simulate.soft_tissue import body_contour, soft_tissue_hu
from qctkit.simulate.solids import Array, Points, occupancy
from qctkit.volume import Mask

FINE_STEP_MM = 1.25
"""Bone is evaluated on a grid at least this fine, then averaged to the voxels."""

Box = tuple[Triple, Triple]

FEMUR_BOX_MM: Box = ((-90.0, -40.0, -42.0), (95.0, 60.0, 95.0))
PELVIS_BOX_MM: Box = ((-70.0, -60.0, 5.0), (120.0, 70.0, 120.0))
"""Boxes (S, A, R) from the crossing of the axes, outside of which there is none of the bone."""


@dataclass(frozen=True, eq=False)
class Rendering:
    """True HU before blur and noise, and the femur mask: both ``(D, H, W)``.

    The HU already hold the loss of bone contrast in a large body.
    """

    hu: Array
    femur: Mask


@dataclass(frozen=True, eq=False)
class Block:
    """A box of voxels, and the finer grid on which bone is evaluated in it.

    Attributes:
        slices: where the box lies in the volume.
        factors: fine points per voxel along ``(D, H, W)``.
        points: world points of the fine grid, three axes that broadcast.
        width_mm: mean step of the fine grid.
    """

    slices: tuple[slice, ...]
    factors: tuple[int, ...]
    points: Points
    width_mm: float

    @classmethod
    def within(cls, geometry: Geometry, box_mm: Box, finest_mm: float) -> "Block":
        """Return the voxels of an axis-aligned geometry whose centres lie in a box."""
        slices, factors, axes, widths = [], [], [], []
        for axis, (low, high) in enumerate(zip(*box_mm, strict=True)):
            spacing = geometry.spacing_mm[axis]
            first = float(geometry.affine[2 - axis, 3])
            start = max(int(np.ceil((low - first) / spacing)), 0)
            stop = min(int(np.floor((high - first) / spacing)) + 1, geometry.shape[axis])
            stop = max(stop, start)
            factor = max(int(np.ceil(spacing / finest_mm)), 1)
            fine = (np.arange((stop - start) * factor) + 0.5) / factor - 0.5 + start
            slices.append(slice(start, stop))
            factors.append(factor)
            axes.append(np.asarray(first + fine * spacing, dtype=np.float32))
            widths.append(spacing / factor)
        z, y, x = axes
        points = Points(x[None, None, :], y[None, :, None], z[:, None, None])
        return cls(tuple(slices), tuple(factors), points, float(np.mean(widths)))

    def average(self, fine: Array) -> Array:
        """Return the mean over each voxel of an array on the fine grid."""
        for axis, factor in enumerate(self.factors):
            parts = [fine[(slice(None),) * axis + (slice(k, None, factor),)] for k in range(factor)]
            fine = np.asarray(sum(parts[1:], parts[0]) / np.float32(factor))
        return fine


@dataclass(frozen=True, eq=False)
class BoneInVoxels:
    """One bone in the voxels of a block.

    Attributes:
        occupancy: part of each voxel that is bone.
        content_hu: HU of the bone times that part.
    """

    block: Block
    occupancy: Array
    content_hu: Array

    def over(self, hu: Array) -> Array:
        """Return ``hu`` (the whole volume) with the bone put in."""
        result = hu.copy()
        inside = result[self.block.slices]
        result[self.block.slices] = inside * (1 - self.occupancy) + self.content_hu
        return result


def render(anatomy: Anatomy, geometry: Geometry) -> Rendering:
    """Return an anatomy on an axis-aligned grid (d superior, h anterior, w right), undisturbed."""
    whole = Block.within(geometry, ((-1e4,) * 3, (1e4,) * 3), np.inf)
    contour = body_contour(anatomy.person, anatomy.shape)
    hu = soft_tissue_hu(anatomy, contour, whole.points, geometry.spacing_mm[2])
    hu = _pelvis(anatomy, geometry).over(hu)
    return Rendering(_femur(anatomy, geometry).over(hu), _femur_mask(anatomy, geometry))


def _femur_mask(anatomy: Anatomy, geometry: Geometry) -> Mask:
    """Return the voxels whose centre lies within the femur."""
    block = Block.within(geometry, FEMUR_BOX_MM, np.inf)
    mask = np.zeros(geometry.shape, dtype=np.bool_)
    mask[block.slices] = anatomy.femur_distance(block.points) < 0
    return mask


def _femur(anatomy: Anatomy, geometry: Geometry) -> BoneInVoxels:
    block = Block.within(geometry, FEMUR_BOX_MM, FINE_STEP_MM)
    distance = anatomy.femur_distance(block.points)
    thickness = anatomy.cortical_thickness(block.points)
    trabecular = anatomy.trabecular_density(block.points, anatomy.texture.on_axes(block.points))
    factor = contrast(anatomy.person)
    return _bone(
        block,
        distance,
        thickness,
        _measured_hu(trabecular, factor),
        _measured_hu(np.float32(anatomy.quality.cortical_mg_cm3), factor),
    )


def _pelvis(anatomy: Anatomy, geometry: Geometry) -> BoneInVoxels:
    block = Block.within(geometry, PELVIS_BOX_MM, FINE_STEP_MM)
    shape, quality = anatomy.shape, bone_quality(anatomy.person)
    centre = shape.head_centre_world_mm
    distance = pelvis_distance(block.points, centre, shape.head_radius_mm, shape.joint_space_mm)
    level = np.float32(TRABECULAR_FACTOR * quality.neck_trabecular_mg_cm3)
    factor = contrast(anatomy.person)
    return _bone(
        block,
        distance,
        np.float32(PLATE_THICKNESS_MM),
        _measured_hu(level * anatomy.texture.on_axes(block.points), factor),
        _measured_hu(np.float32(quality.cortical_mg_cm3), factor),
    )


def _bone(
    block: Block,
    distance_mm: Array,
    thickness_mm: Array | np.float32,
    trabecular_hu: Array,
    cortical_hu: Array,
) -> BoneInVoxels:
    bone = occupancy(distance_mm, block.width_mm)
    spongiosa = occupancy(distance_mm + thickness_mm, block.width_mm)
    content = bone * cortical_hu + spongiosa * (trabecular_hu - cortical_hu)
    return BoneInVoxels(block, block.average(bone), block.average(content))


def _measured_hu(density_mg_cm3: Array | np.float32, contrast_factor: float) -> Array:
    """Return HU of bone whose mineral (what exceeds water) shows with a lesser contrast."""
    hu = hu_of(density_mg_cm3)
    return np.asarray(np.where(hu > 0, np.float32(contrast_factor) * hu, hu))
