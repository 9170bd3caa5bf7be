"""One body ready to be rendered: shape, bone and surroundings of a person, or of two.

A *density-only* counterfactual takes the femur's bone from one person and all else from another.
"""

from dataclasses import dataclass
from functools import cached_property

from qctkit.simulate.femur import femur_distance, to_femur
from qctkit.simulate.mineral import (
    TrabecularTexture,
    cortical_thickness,
    trabecular_density,
    trabecular_pattern,
)
from qctkit.simulate.neck import NeckFigures, NeckRegion
from qctkit.simulate.person import Person
from qctkit.simulate.quality import BoneQuality, bone_quality
from qctkit.simulate.shape import FemurShape, femur_shape
from qctkit.simulate.solids import Array, Points


@dataclass(frozen=True, eq=False)
class Anatomy:
    """The body of ``person``, with the femur's bone of ``bone_of``, the same individual.

    The outer shape of the femur, the pelvis, the soft tissue and the size of the body are those
    of ``person``; densities and cortical thickness of the femur are those of ``bone_of``. The
    cortex thins from within: the outer surface stays.
    """

    person: Person
    bone_of: Person

    @cached_property
    def shape(self) -> FemurShape:
        """Outer shape of the femur."""
        return femur_shape(self.person)

    @cached_property
    def quality(self) -> BoneQuality:
        """Densities and thickness of the femur's bone."""
        return bone_quality(self.bone_of)

    @cached_property
    def texture(self) -> TrabecularTexture:
        """Trabecular texture of the individual."""
        return TrabecularTexture.of(self.person)

    @cached_property
    def trabecular_scale_mg_cm3(self) -> float:
        """Mineral where pattern and texture are 1, so that the neck's mean is the wanted one."""
        return self._neck.scale_for(self.quality.neck_trabecular_mg_cm3)

    @cached_property
    def neck_figures(self) -> NeckFigures:
        """True figures of the neck."""
        return self._neck.figures(self.trabecular_scale_mg_cm3, self.quality.cortical_mg_cm3)

    @cached_property
    def _neck(self) -> NeckRegion:
        return NeckRegion.of(self.shape, self.quality, self.texture)

    def femur_distance(self, world: Points) -> Array:
        """Return the signed distance to the femur's outer surface at world points, mm."""
        return femur_distance(to_femur(world, self.shape), self.shape)

    def cortical_thickness(self, world: Points) -> Array:
        """Return the cortical thickness at world points, mm."""
        return cortical_thickness(to_femur(world, self.shape), self.shape, self.quality)

    def trabecular_density(self, world: Points, texture: Array) -> Array:
        """Return the trabecular density at world points, given the texture there, mg/cm3."""
        pattern = trabecular_pattern(to_femur(world, self.shape), self.shape)
        return trabecular_density(pattern * texture, self.trabecular_scale_mg_cm3)
