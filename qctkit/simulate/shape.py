"""The outer shape of a person's femur: sizes and angles after sex, age and variation."""

from dataclasses import dataclass

import numpy as np

from qctkit.geometry import FloatArray, Triple
from qctkit.simulate.person import Person
from qctkit.subject import Sex

REFERENCE_AGE_YEARS = 55.0
"""Age at which the mean sizes below hold [A]: the middle of the published adult cohorts."""

HEAD_DIAMETER_MM = {Sex.F: (43.0, 2.3), Sex.M: (48.0, 2.5)}
NECK_WIDTH_MM = {Sex.F: (30.5, 2.3), Sex.M: (35.0, 2.5)}
HIP_AXIS_LENGTH_MM = {Sex.F: (105.0, 6.0), Sex.M: (120.0, 7.0)}
"""Mean and SD, working values of CT and DXA (figures, section b [M])."""

SHAFT_WIDTH_MM = {Sex.F: (27.5, 1.8), Sex.M: (31.5, 2.0)}
"""Below the lesser trochanter [A]; with the neck this makes men's sections 30 % larger (35 to 42 %
in Riggs 2004, 25 to 32 % in Sigurdsson 2006)."""

NECK_SHAFT_ANGLE_DEG = {Sex.F: 125.8, Sex.M: 124.0}
NECK_SHAFT_ANGLE_SD_DEG = 6.0
NECK_SHAFT_ANGLE_DEG_PER_YEAR = -0.03
"""124.7 +/- 6.2 over 394 men and 234 women, women more valgus, falling with age (Carmona 2019);
the slope is [A]."""

VERSION_DEG = {Sex.F: 16.0, Sex.M: 13.5}
VERSION_SD_DEG = 7.5
"""14.5 +/- 8.1 deg, women more (Carmona 2019)."""

LIFETIME_AREA_GAIN = 0.15
LIFETIME_YEARS = 60.0
"""Neck and shaft sections grow 15 % over adult life in both sexes (Riggs 2004)."""

NECK_DEPTH_TO_WIDTH = 0.86
"""The neck is an oval, flatter from front to back [A]."""

JOINT_SPACE_MM = (3.5, 0.2)
"""Mean and SD; 3 to 4 mm within the cut at 2.5 SD."""

MEDIAL_WALL_MM = 9.5
"""From the joint to the inner brim along the neck axis; with the joint space 13 mm, the
difference of hip axis length and femoral axis length (Arch Trauma, Kashan)."""

LATERAL_REACH = 1.2
"""From the crossing of the axes to the lateral surface along the neck axis, in head radii [A];
the true value is measured on the solid and recorded."""

SHARED_WITH_HEIGHT = 0.6
"""Correlation of bone lengths with body height [A]."""

AXIS_SHARED_WITH_HEAD = 0.6
"""Correlation at equal height of hip axis length with head size [A]: the axis holds the head."""

SHORTEST_NECK_RADII = 1.65
"""Shortest neck axis in head radii [A]; a shorter one would leave no free neck."""

TILT_DEG = (5.0, 1.5)
FLEXION_DEG = (0.0, 2.0)
LEG_ROTATION_DEG = (-4.0, 4.0)
"""How the leg lies: the shaft leans medially downwards, toes turned in for the scan [A]."""


@dataclass(frozen=True)
class FemurShape:
    """Sizes (mm) and angles (degrees) of one left femur, and how it lies in the scanner."""

    head_radius_mm: float
    neck_radius_mm: float
    shaft_radius_mm: float
    neck_length_mm: float
    neck_shaft_angle_deg: float
    version_deg: float
    joint_space_mm: float
    tilt_deg: float
    flexion_deg: float

    @property
    def scale(self) -> float:
        """Size of the trochanters, 1 for a head radius of 24 mm."""
        return self.head_radius_mm / 24.0

    @property
    def neck_direction(self) -> Triple:
        """Unit vector along the neck axis, towards the head, in femur coordinates."""
        angle, version = np.deg2rad([self.neck_shaft_angle_deg, self.version_deg])
        out = float(np.sin(angle))
        return out * float(np.cos(version)), out * float(np.sin(version)), -float(np.cos(angle))

    @property
    def neck_inferior(self) -> Triple:
        """Unit vector across the neck, downwards."""
        neck = np.asarray(self.neck_direction)
        return _triple(_unit(neck * neck[2] - np.array([0.0, 0.0, 1.0])))

    @property
    def neck_anterior(self) -> Triple:
        """Unit vector across the neck, forwards."""
        return _triple(np.cross(self.neck_direction, self.neck_inferior) * -1.0)

    @property
    def head_centre_mm(self) -> Triple:
        """Centre of the head in femur coordinates."""
        return _triple(self.neck_length_mm * np.asarray(self.neck_direction))

    @property
    def head_centre_world_mm(self) -> Triple:
        """Centre of the head in world coordinates (RAS)."""
        return _triple(self.to_world @ np.asarray(self.head_centre_mm))

    @property
    def narrowest_mm(self) -> float:
        """Where the neck is narrowest: midway of the free neck, along its axis."""
        hidden = self.head_radius_mm**2 - self.neck_radius_mm**2
        junction = self.neck_length_mm - float(np.sqrt(max(hidden, 0.0)))
        return 0.74 * junction

    @property
    def to_world(self) -> FloatArray:
        """Rotation (3, 3) from femur to world coordinates about the crossing of the axes."""
        tilt, flexion = np.deg2rad([self.tilt_deg, self.flexion_deg])
        frontal = np.array(
            [
                [np.cos(tilt), 0.0, -np.sin(tilt)],
                [0.0, 1.0, 0.0],
                [np.sin(tilt), 0.0, np.cos(tilt)],
            ]
        )
        sagittal = np.array(
            [
                [1.0, 0.0, 0.0],
                [0.0, np.cos(flexion), -np.sin(flexion)],
                [0.0, np.sin(flexion), np.cos(flexion)],
            ]
        )
        return np.asarray(frontal @ sagittal)


def femur_shape(person: Person) -> FemurShape:
    """Return the outer shape of a person's left femur."""
    z, sex = person.variation, person.sex
    growth = 1 + (LIFETIME_AREA_GAIN / 2) * (
        (person.age_years - REFERENCE_AGE_YEARS) / LIFETIME_YEARS
    )
    head = _length(HEAD_DIAMETER_MM[sex], z.height, z.head_size) / 2
    own_axis = float(np.sqrt(1 - AXIS_SHARED_WITH_HEAD**2)) * z.hip_axis
    own_axis += AXIS_SHARED_WITH_HEAD * z.head_size
    axis = _length(HIP_AXIS_LENGTH_MM[sex], z.height, own_axis)
    joint = JOINT_SPACE_MM[0] + JOINT_SPACE_MM[1] * z.joint_space
    neck = axis - joint - MEDIAL_WALL_MM - (1 + LATERAL_REACH) * head
    angle = (
        NECK_SHAFT_ANGLE_DEG[sex]
        + NECK_SHAFT_ANGLE_SD_DEG * z.neck_shaft_angle
        + NECK_SHAFT_ANGLE_DEG_PER_YEAR * (person.age_years - REFERENCE_AGE_YEARS)
    )
    version = VERSION_DEG[sex] + VERSION_SD_DEG * z.version
    rotation = LEG_ROTATION_DEG[0] + LEG_ROTATION_DEG[1] * z.rotation
    return FemurShape(
        head_radius_mm=head,
        neck_radius_mm=growth * _length(NECK_WIDTH_MM[sex], z.height, z.neck_size) / 2,
        shaft_radius_mm=growth * _length(SHAFT_WIDTH_MM[sex], z.height, z.shaft_size) / 2,
        neck_length_mm=max(neck, SHORTEST_NECK_RADII * head),
        neck_shaft_angle_deg=angle,
        version_deg=version + rotation,
        joint_space_mm=joint,
        tilt_deg=TILT_DEG[0] + TILT_DEG[1] * z.tilt,
        flexion_deg=FLEXION_DEG[0] + FLEXION_DEG[1] * z.flexion,
    )


def _length(mean_and_sd: tuple[float, float], height: float, own: float) -> float:
    mean, deviation = mean_and_sd
    own_share = float(np.sqrt(1 - SHARED_WITH_HEIGHT**2))
    return mean + deviation * (SHARED_WITH_HEIGHT * height + own_share * own)


def _unit(vector: FloatArray) -> FloatArray:
    return np.asarray(vector / np.linalg.norm(vector))


def _triple(vector: FloatArray) -> Triple:
    return float(vector[0]), float(vector[1]), float(vector[2])
