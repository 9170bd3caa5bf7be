"""The neck region: a slab across the narrowest neck, in which true densities are measured."""

from dataclasses import dataclass

import numpy as np

from qctkit.geometry import Triple
from qctkit.simulate.femur import NeckCoordinates, femur_distance, to_world
from qctkit.simulate.mineral import (
    MARROW_MG_CM3,
    TrabecularTexture,
    cortical_thickness,
    trabecular_density,
    trabecular_pattern,
)
from qctkit.simulate.quality import BoneQuality
from qctkit.simulate.shape import FemurShape
from qctkit.simulate.solids import Array, Points, occupancy
from qctkit.volume import Mask

SLAB_HALF_MM = 5.0
"""The slab reaches this far to either side of the narrowest place, along the neck axis."""

SLAB_RADII = 1.4
"""The slab reaches this many neck radii from the axis, clear of the trochanter."""

STEP_MM = 0.6
STEP_ALONG_MM = 1.25
"""Quadrature steps across and along the neck; densities are then true to about 0.5 %."""


WIDTH_STEP_MM = 0.05
"""Step of the measurement of the neck's width."""


@dataclass(frozen=True)
class NeckFigures:
    """True figures of the neck region.

    Attributes:
        integral_mg_cm3, trabecular_mg_cm3: mean densities, K2HPO4-equivalent, of the whole region
            and of the part within the cortex.
        cortical_fraction: part of the region's volume that is cortex.
        area_mm2: mean area of the section, periosteal.
    """

    integral_mg_cm3: float
    trabecular_mg_cm3: float
    cortical_fraction: float
    area_mm2: float


@dataclass(frozen=True, eq=False)
class NeckRegion:
    """Sums over the neck region, from which its figures follow for any density.

    Attributes:
        cortex, spongiosa: part of each quadrature point that is cortex or trabecular bone.
        structure: trabecular pattern times texture at each point.
    """

    cortex: Array
    spongiosa: Array
    structure: Array

    @classmethod
    def of(
        cls, shape: FemurShape, quality: BoneQuality, texture: TrabecularTexture
    ) -> "NeckRegion":
        """Return the region of a femur."""
        points = _quadrature(shape)
        distance = femur_distance(points, shape)
        keep = distance < STEP_MM
        points = Points(points.x[keep], points.y[keep], points.z[keep])
        distance = distance[keep]
        bone = occupancy(distance, STEP_MM)
        spongiosa = occupancy(distance + cortical_thickness(points, shape, quality), STEP_MM)
        structure = trabecular_pattern(points, shape) * texture.at(to_world(points, shape))
        return cls(bone - spongiosa, spongiosa, structure)

    def scale_for(self, trabecular_mg_cm3: float) -> float:
        """Return the mineral scale that gives this mean trabecular density, mg/cm3."""
        return (trabecular_mg_cm3 - MARROW_MG_CM3) / _mean(self.structure, self.spongiosa)

    def figures(self, scale_mg_cm3: float, cortical_mg_cm3: float) -> NeckFigures:
        """Return the region's figures for a mineral scale and a cortical density."""
        density = trabecular_density(self.structure, scale_mg_cm3)
        trabecular = _mean(density, self.spongiosa)
        cortical = float(self.cortex.sum(dtype=np.float64))
        total = cortical + float(self.spongiosa.sum(dtype=np.float64))
        fraction = cortical / total
        return NeckFigures(
            integral_mg_cm3=fraction * cortical_mg_cm3 + (1 - fraction) * trabecular,
            trabecular_mg_cm3=trabecular,
            cortical_fraction=fraction,
            area_mm2=total * STEP_MM**2 / _stations().size,
        )


def in_neck_slab(neck: NeckCoordinates, shape: FemurShape) -> Mask:
    """Return whether neck coordinates lie in the slab that defines the neck region."""
    radius = np.sqrt(neck.inferior_mm**2 + neck.anterior_mm**2)
    near = np.abs(neck.along_mm - np.float32(shape.narrowest_mm)) <= SLAB_HALF_MM
    return np.asarray(near & (radius < SLAB_RADII * shape.neck_radius_mm))


def neck_width_mm(shape: FemurShape) -> float:
    """Return the narrowest neck's extent from superior to inferior, measured on the solid, mm.

    On a short neck the blends with head and trochanter make it wider than its own radius says.
    """
    reach = SLAB_RADII * shape.neck_radius_mm
    steps = np.arange(-reach, reach, WIDTH_STEP_MM)[:, None]
    line = shape.narrowest_mm * np.asarray(shape.neck_direction)
    x, y, z = (line + steps * np.asarray(shape.neck_inferior)).astype(np.float32).T
    return WIDTH_STEP_MM * int((femur_distance(Points(x, y, z), shape) < 0).sum())


def neck_surface(shape: FemurShape, inferiority: float) -> Points:
    """Return the surface point at the narrowest neck: inferior (1) or superior (-1), femur mm."""
    neck, inferior = np.asarray(shape.neck_direction), np.asarray(shape.neck_inferior)
    position = shape.narrowest_mm * neck + inferiority * shape.neck_radius_mm * inferior
    x, y, z = position.astype(np.float32)[:, None]
    return Points(x, y, z)


def _stations() -> Array:
    """Distances along the neck of the slab's quadrature sections, mm from its middle."""
    count = round(2 * SLAB_HALF_MM / STEP_ALONG_MM)
    middles = (np.arange(count) + 0.5) / count * 2 - 1
    return np.asarray(SLAB_HALF_MM * middles, dtype=np.float32)


def _quadrature(shape: FemurShape) -> Points:
    reach = SLAB_RADII * shape.neck_radius_mm
    across = np.arange(-reach, reach, STEP_MM, dtype=np.float32)
    along, inferior, anterior = np.meshgrid(
        _stations() + np.float32(shape.narrowest_mm), across, across, indexing="ij"
    )
    keep = inferior**2 + anterior**2 < reach**2
    along, inferior, anterior = along[keep], inferior[keep], anterior[keep]
    axes: tuple[Triple, ...] = (shape.neck_direction, shape.neck_inferior, shape.neck_anterior)
    x, y, z = (
        sum(
            np.float32(axis[i]) * part
            for axis, part in zip(axes, (along, inferior, anterior), strict=True)
        )
        for i in range(3)
    )
    return Points(np.asarray(x), np.asarray(y), np.asarray(z))


def _mean(values: Array, weights: Array) -> float:
    return float((values * weights).sum(dtype=np.float64) / weights.sum(dtype=np.float64))
