"""Where in a femur the mineral is: cortical thickness and trabecular density at each point."""

from dataclasses import dataclass

import numpy as np

from qctkit.geometry import Triple
from qctkit.simulate.femur import NeckCoordinates, neck_coordinates
from qctkit.simulate.person import Person, Stream
from qctkit.simulate.quality import BoneQuality
from qctkit.simulate.shape import FemurShape
from qctkit.simulate.solids import Array, Points, from_segment, smooth_step
from qctkit.simulate.texture import Field

SUBCHONDRAL_THICKNESS_MM = 0.9
"""Bone plate of the head [A]."""

MARROW_MG_CM3 = -20.0
"""Fatty marrow of the canal with a few trabeculae, about -35 HU [A]."""

TEXTURE_STEPS_MM = (1.6, 4.0)
TEXTURE_AMPLITUDES = (0.16, 0.13)
"""Relative amplitude of trabecular texture at a fine and a coarse scale [A]; both survive a grid of
1 to 2 mm, as marrow spaces and bundles of trabeculae do."""

LOWEST_TEXTURE = 0.3
"""Texture never takes away more than 70 % of the local trabecular density [A]."""

# Regional pattern, factors of the neck's typical density [A], after the trabecular groups of Ward
# and Singh as the real hip scans of the project show them.
HEAD_FACTOR = 1.75
TROCHANTER_FACTOR = 0.75
COMPRESSIVE_GAIN = 1.1
TENSILE_GAIN = 0.5
WARD_LOSS = 0.6


@dataclass(frozen=True, eq=False)
class TrabecularTexture:
    """A person's trabecular texture at two scales, fixed in the world."""

    fields: tuple[Field, ...]

    @classmethod
    def of(cls, person: Person) -> "TrabecularTexture":
        """Return the texture of a person, the same for all counterfactuals."""
        random = person.random(Stream.TRABECULAE)
        return cls(tuple(Field.draw(random, step) for step in TEXTURE_STEPS_MM))

    def at(self, world: Points) -> Array:
        """Return the factor at scattered world points."""
        return _texture_factor([field.at(world) for field in self.fields])

    def on_axes(self, axes: Points) -> Array:
        """Return the factor ``(D, H, W)`` on a grid given by its world axes."""
        return _texture_factor([field.on_axes(axes) for field in self.fields])


def cortical_thickness(points: Points, shape: FemurShape, quality: BoneQuality) -> Array:
    """Return the cortical thickness (mm) that belongs to the surface next to femur points."""
    neck = neck_coordinates(points, shape)
    cosine = neck.inferiority
    side = np.float32(quality.side_thickness_mm)
    inferior = np.maximum(cosine, 0) ** 4
    superior = np.maximum(-cosine, 0) ** 2
    around_neck = (
        side
        + np.float32(quality.inferior_thickness_mm - quality.side_thickness_mm) * inferior
        + np.float32(quality.superior_thickness_mm - quality.side_thickness_mm) * superior
    )
    in_head = _in_head(neck, shape)
    below = smooth_step(-points.z, 8.0 * shape.scale, 62.0 * shape.scale)
    trochanter = np.float32(1.5 * quality.superior_thickness_mm**0.5)
    in_trochanter = smooth_step(-neck.along_mm, -12.0 * shape.scale, 0.0)
    proximal = around_neck + in_trochanter * (trochanter - around_neck)
    plate = np.float32(SUBCHONDRAL_THICKNESS_MM)
    proximal = proximal + in_head * (plate - proximal)
    return np.asarray(proximal + below * (np.float32(quality.shaft_thickness_mm) - proximal))


def trabecular_pattern(points: Points, shape: FemurShape) -> Array:
    """Return the regional trabecular pattern: 1 is typical of the neck, 0 is marrow alone."""
    neck = neck_coordinates(points, shape)
    in_head = _in_head(neck, shape)
    in_trochanter = smooth_step(-neck.along_mm, -14.0 * shape.scale, 4.0 * shape.scale)
    level = 1 + np.float32(HEAD_FACTOR - 1) * in_head
    level += np.float32(TROCHANTER_FACTOR - 1) * in_trochanter
    level += np.float32(COMPRESSIVE_GAIN) * _compressive_group(points, shape)
    level += np.float32(TENSILE_GAIN) * _tensile_group(points, shape)
    level *= 1 - np.float32(WARD_LOSS) * _ward_triangle(points, shape)
    filled = smooth_step(points.z, -62.0 * shape.scale, -12.0 * shape.scale)
    return np.asarray(level * filled)


def trabecular_density(structure: Array, scale_mg_cm3: float) -> Array:
    """Return trabecular density, mg/cm3: marrow, and mineral after pattern times texture."""
    return np.asarray(np.float32(MARROW_MG_CM3) + np.float32(scale_mg_cm3) * structure)


def _in_head(neck: NeckCoordinates, shape: FemurShape) -> Array:
    equator, radius = shape.neck_length_mm, shape.head_radius_mm
    return smooth_step(neck.along_mm, equator - 0.85 * radius, equator - 0.35 * radius)


def _compressive_group(points: Points, shape: FemurShape) -> Array:
    """Follow a band from the dome of the head down to the medial cortex below the neck."""
    x, y, z = shape.head_centre_mm
    radius = shape.head_radius_mm
    dome: Triple = (x + 0.1 * radius, y, z + 0.9 * radius)
    calcar: Triple = (shape.shaft_radius_mm * 1.15, 0.3 * y, -6.0 * shape.scale)
    distance, fraction = from_segment(points, dome, calcar)
    width = np.float32(radius) * (np.float32(0.42) - np.float32(0.2) * fraction)
    return np.asarray(np.exp(-((distance / width) ** 2)))


def _tensile_group(points: Points, shape: FemurShape) -> Array:
    """Follow an arch from the lateral cortex through the superior neck to the lower head."""
    x, _, z = shape.head_centre_mm
    centre_x, centre_z = 0.45 * x, -1.05 * z
    rise = np.hypot(x - centre_x, z - centre_z)
    radius = np.sqrt(
        (points.x - np.float32(centre_x)) ** 2 + (points.z - np.float32(centre_z)) ** 2
    )
    return np.asarray(np.exp(-(((radius - np.float32(rise)) / np.float32(5.0)) ** 2)))


def _ward_triangle(points: Points, shape: FemurShape) -> Array:
    x, y, z = shape.head_centre_mm
    share = 0.26
    centre: Triple = (share * x, share * y, share * z - 3.0)
    square = sum(
        ((axis - np.float32(middle)) / np.float32(size)) ** 2
        for axis, middle, size in zip(points, centre, (9.0, 12.0, 9.0), strict=True)
    )
    return np.asarray(np.exp(-np.asarray(square)))


def _texture_factor(fields: list[Array]) -> Array:
    factor = np.ones_like(fields[0])
    for field, amplitude in zip(fields, TEXTURE_AMPLITUDES, strict=True):
        factor += np.float32(amplitude) * field
    return np.maximum(factor, np.float32(LOWEST_TEXTURE))
