"""Skin, fat and muscle around the bones, in HU."""

from dataclasses import dataclass

import numpy as np

from qctkit.simulate.anatomy import Anatomy
from qctkit.simulate.femur import to_femur, trochanter_lateral_mm
from qctkit.simulate.person import Person, Stream
from qctkit.simulate.shape import FemurShape
from qctkit.simulate.solids import Array, Points, occupancy, sphere
from qctkit.simulate.texture import Field
from qctkit.subject import Sex

AIR_HU = -1000.0
FAT_HU = -103.0
MUSCLE_HU = 54.0
"""Muscle 42 to 58, fat -98 to -110 HU on the project's real files (figures, section e)."""

SKIN_HU = 10.0
SKIN_MM = 1.8
CAPSULE_HU = 62.0
CAPSULE_MM = 4.0
"""Skin, and cartilage and capsule around the head [A]."""

MUSCLE_HU_PER_YEAR = -0.15
MUSCLE_SD_HU = 4.0
REFERENCE_AGE_YEARS = 55.0
"""Muscle attenuation falls with age and differs between people of one age [A]: fat within the
fibres, which CT shows as a lower mean."""

MARBLING_HU = 7.0
"""SD of the slow variation within muscle [A]."""

TROCHANTERIC_TISSUE_MM = {Sex.F: 39.0, Sex.M: 31.0}
TROCHANTERIC_MM_PER_BODY_MASS_INDEX = 2.5
TROCHANTERIC_SD_MM = 5.5
REFERENCE_BODY_MASS_INDEX = 27.0
"""Men 31 +/- 11.5 mm at a mean index of 27 (Nielson 2009), women more at the same index, 2 to 3 mm
more a unit (figures, section d [M]); the SD at equal index is [A]."""

THINNEST_TISSUE_MM = 12.0
TENDON_MM = 7.0
"""Muscle and fascia between the trochanter and the fat [A]."""

HALF_DEPTH_MM = 105.0
HALF_DEPTH_MM_PER_BODY_MASS_INDEX = 3.2
HALF_DEPTH_SD_MM = 5.0
"""Half of the body's extent from front to back at the hip, and its SD at equal index [A]."""

MIDLINE_MM = 88.0
HEAD_BEFORE_CENTRE_MM = 22.0
"""Where the head's centre lies: off the midline, and in front of the body's middle [A]."""

SQUARENESS = 2.5
"""Exponent of the superellipse that bounds the body [A]; 2 is an ellipse."""

ANTERIOR_FAT = 0.7
"""Fat in front over fat at the side [A]."""

SEPTUM_STEP_MM = 15.0
SEPTUM_WIDTH = 0.035
SEPTUM_WIDENING_PER_YEAR = 0.0010
SEPTUM_LOG_SD = 0.35
"""Fat between muscles: sheets where a smooth random field crosses zero, wider with age, and by a
third wider or thinner between people of one age [A]."""

CAPSULE_EDGE_MM = 4.0
"""Width of the change from capsule to muscle [A]."""


@dataclass(frozen=True)
class BodyContour:
    """A superellipse in each axial plane: centre, half axes (mm) and fat at the side."""

    centre_x_mm: float
    centre_y_mm: float
    half_width_mm: float
    half_depth_mm: float
    fat_mm: float

    def skin_distance(self, points: Points) -> Array:
        """Return the signed distance to the skin, mm, first-order exact there; negative inside."""
        return self._distance(points, 0.0, 0.0)

    def fascia_distance(self, points: Points) -> Array:
        """Return the signed distance to the inner limit of the subcutaneous fat, mm."""
        return self._distance(points, self.fat_mm, self.fat_mm * ANTERIOR_FAT)

    def _distance(self, points: Points, less_width_mm: float, less_depth_mm: float) -> Array:
        a = np.float32(self.half_width_mm - less_width_mm)
        b = np.float32(self.half_depth_mm - less_depth_mm)
        n = np.float32(SQUARENESS)
        p = np.abs(points.x - np.float32(self.centre_x_mm)) / a
        q = np.abs(points.y - np.float32(self.centre_y_mm)) / b
        k = (p**n + q**n) ** (1 / n)
        k = np.maximum(k, np.float32(1e-3))
        slope = np.sqrt(((p / k) ** (n - 1) / a) ** 2 + ((q / k) ** (n - 1) / b) ** 2)
        return np.asarray((k - 1) / slope, dtype=np.float32)


def trochanteric_tissue_mm(person: Person) -> float:
    """Return the soft tissue between the greater trochanter and the skin at its side, mm."""
    excess = person.body_mass_index - REFERENCE_BODY_MASS_INDEX
    thickness = (
        TROCHANTERIC_TISSUE_MM[person.sex]
        + TROCHANTERIC_MM_PER_BODY_MASS_INDEX * excess
        + TROCHANTERIC_SD_MM * person.variation.soft_tissue
    )
    return max(thickness, THINNEST_TISSUE_MM)


def mean_muscle_hu(person: Person) -> float:
    """Return the mean HU of a person's muscle, without the fat between muscles."""
    ageing = MUSCLE_HU_PER_YEAR * (person.age_years - REFERENCE_AGE_YEARS)
    return MUSCLE_HU + ageing + MUSCLE_SD_HU * person.variation.muscle_attenuation


def septum_width(person: Person) -> float:
    """Return half the width of the sheets of fat, in units of the random field."""
    mean = SEPTUM_WIDTH + SEPTUM_WIDENING_PER_YEAR * max(person.age_years - 25.0, 0.0)
    own = SEPTUM_LOG_SD * person.variation.muscle_fat - SEPTUM_LOG_SD**2 / 2
    return mean * float(np.exp(own))


def body_contour(person: Person, shape: FemurShape) -> BodyContour:
    """Return the contour of a person's body."""
    tissue = trochanteric_tissue_mm(person)
    head_x, head_y, _ = shape.head_centre_world_mm
    centre_x = head_x + MIDLINE_MM
    excess = person.body_mass_index - REFERENCE_BODY_MASS_INDEX
    return BodyContour(
        centre_x_mm=centre_x,
        centre_y_mm=head_y - HEAD_BEFORE_CENTRE_MM,
        half_width_mm=centre_x - trochanter_lateral_mm(shape) + tissue,
        half_depth_mm=HALF_DEPTH_MM
        + HALF_DEPTH_MM_PER_BODY_MASS_INDEX * excess
        + HALF_DEPTH_SD_MM * person.variation.body_depth,
        fat_mm=tissue - TENDON_MM,
    )


def soft_tissue_hu(anatomy: Anatomy, contour: BodyContour, axes: Points, pixel_mm: float) -> Array:
    """Return HU ``(D, H, W)`` of air, skin, fat and muscle on a grid given by its world axes."""
    plane = Points(axes.x, axes.y, np.zeros_like(axes.z[:1]))
    skin = contour.skin_distance(plane)
    inside = occupancy(skin, pixel_mm)
    below_skin = occupancy(skin + np.float32(SKIN_MM), pixel_mm)
    within_fascia = occupancy(contour.fascia_distance(plane), pixel_mm)
    muscle = _muscle_hu(anatomy, axes)
    body = np.float32(FAT_HU) + within_fascia * (muscle - np.float32(FAT_HU))
    body = np.float32(SKIN_HU) + below_skin * (body - np.float32(SKIN_HU))
    return np.asarray(np.float32(AIR_HU) + inside * (body - np.float32(AIR_HU)))


def _muscle_hu(anatomy: Anatomy, axes: Points) -> Array:
    """Return muscle with sheets of fat, and the joint's capsule around the head."""
    random = anatomy.person.random(Stream.SOFT_TISSUE)
    first, second, marbling = (Field.draw(random, SEPTUM_STEP_MM).on_axes(axes) for _ in range(3))
    sheet = np.minimum(np.abs(first), np.abs(second)) / np.float32(septum_width(anatomy.person))
    fat = np.clip(np.float32(1.5) - sheet, 0, 1)
    shape = anatomy.shape
    femur = to_femur(axes, shape)
    head = sphere(femur, shape.head_centre_mm, shape.head_radius_mm + CAPSULE_MM)
    capsule = occupancy(head, CAPSULE_EDGE_MM)
    muscle = np.float32(mean_muscle_hu(anatomy.person)) + np.float32(MARBLING_HU) * marbling
    muscle += fat * (np.float32(FAT_HU) - muscle)
    return np.asarray(muscle + capsule * (np.float32(CAPSULE_HU) - muscle))
