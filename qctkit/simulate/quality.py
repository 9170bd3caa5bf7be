"""What a person's bone is made of: density and cortical thickness after sex, age and weight."""

from dataclasses import dataclass

import numpy as np

from qctkit.simulate.person import MEDIAN_BODY_MASS_INDEX, Person
from qctkit.simulate.shape import LIFETIME_YEARS
from qctkit.subject import Sex

YOUNG_AGE_YEARS = 25.0
"""Age of the first value of each pair below; the second is 60 years later."""

NECK_TRABECULAR_MG_CM3 = {Sex.F: (160.0, 70.0), Sex.M: (160.0, 85.0)}
"""Mean neck trabecular density, K2HPO4-equivalent with its marrow, as QCT reads it (figures, [A]
after Riggs 2004). Evenly with age: 42 % of the loss comes before 50 (37 to 42 %, Riggs 2008)."""

CORTICAL_MG_CM3 = {Sex.F: (1110.0, 880.0), Sex.M: (1110.0, 955.0)}
"""True cortical density, K2HPO4-equivalent: 1050 to 1150 falling 10 to 25 % (figures, [A])."""

SUPERIOR_THICKNESS_MM = {Sex.F: (1.5, 0.65), Sex.M: (1.6, 0.8)}
INFERIOR_THICKNESS_MM = {Sex.F: (2.9, 2.75), Sex.M: (3.05, 3.0)}
SIDE_THICKNESS_MM = {Sex.F: (0.78, 0.65), Sex.M: (0.92, 0.92)}
"""Neck cortex: superior 1.5 falling to 0.5-0.8, inferior 2.5-3.5 kept with age (figures, section
a [M]); front and back [A], such that the integral density meets its targets."""

SHAFT_THICKNESS_MM = {Sex.F: (5.6, 4.6), Sex.M: (6.6, 5.9)}
"""Full cortex some 60 mm below the crossing of the axes [A]."""

CORTICAL_LOSS_BY_FIFTY = {Sex.F: 0.06, Sex.M: 0.15}
"""Share of the lifetime cortical loss before 50 years (Riggs 2008)."""

WEIGHT_GAIN_PER_KG = 0.003
OBESE_BODY_MASS_INDEX = 30.0
"""+3 % true density per 10 kg (2 to 4 %, Cauley 2005) up to this body mass index, flat above
(slope differs in the obese, Shen 2015)."""

BONE_MASS_SHARE = 0.5
"""Correlation through ``bone_mass`` of trabecular density and cortical thickness [A]."""

TRABECULAR_LOG_SD = (0.18, 0.29)
"""Young and old; 25 to 35 % of the mean in the elderly (figures, section a [M])."""

THICKNESS_LOG_SD = 0.16
SITE_LOG_SD = 0.10
CORTICAL_DENSITY_SD_MG_CM3 = 30.0
"""[A]: with the above, integral neck density spreads by about 15 % within age and sex. What one
site has of its own keeps the cortex of one site from telling that of another exactly."""

TRABECULAR_FLOOR_MG_CM3 = 20.0
THICKNESS_FLOOR_MM = 0.3
"""Thinnest cortex measured in the proximal femur (Treece 2010)."""


@dataclass(frozen=True)
class BoneQuality:
    """Densities (mg/cm3, K2HPO4-equivalent) and cortical thickness (mm) of one person's bone."""

    neck_trabecular_mg_cm3: float
    cortical_mg_cm3: float
    superior_thickness_mm: float
    inferior_thickness_mm: float
    side_thickness_mm: float
    shaft_thickness_mm: float


def bone_quality(person: Person) -> BoneQuality:
    """Return what a person's bone is made of.

    Weight acts on trabecular density and cortical thickness alike, not on the density of compact
    bone, so the integral density follows it by about ``WEIGHT_GAIN_PER_KG``.
    """
    z, sex = person.variation, person.sex
    ageing = (person.age_years - YOUNG_AGE_YEARS) / LIFETIME_YEARS
    cortical_ageing = _cortical_ageing(person)
    weight = weight_effect(person)
    log_sd = float(np.interp(ageing, (0.0, 1.0), TRABECULAR_LOG_SD))
    trabecular = _between(NECK_TRABECULAR_MG_CM3[sex], ageing) * weight
    trabecular *= _spread(log_sd, z.bone_mass, z.trabecular)
    thickness = weight * _spread(THICKNESS_LOG_SD, z.bone_mass, z.cortical_thickness)

    def thick(pair: tuple[float, float], own: float) -> float:
        site = float(np.exp(SITE_LOG_SD * own - SITE_LOG_SD**2 / 2))
        return max(_between(pair, cortical_ageing) * thickness * site, THICKNESS_FLOOR_MM)

    return BoneQuality(
        neck_trabecular_mg_cm3=max(trabecular, TRABECULAR_FLOOR_MG_CM3),
        cortical_mg_cm3=_between(CORTICAL_MG_CM3[sex], cortical_ageing)
        + CORTICAL_DENSITY_SD_MG_CM3 * z.cortical_density,
        superior_thickness_mm=thick(SUPERIOR_THICKNESS_MM[sex], z.superior_cortex),
        inferior_thickness_mm=thick(INFERIOR_THICKNESS_MM[sex], z.inferior_cortex),
        side_thickness_mm=thick(SIDE_THICKNESS_MM[sex], z.side_cortex),
        shaft_thickness_mm=thick(SHAFT_THICKNESS_MM[sex], z.shaft_cortex),
    )


def weight_effect(person: Person) -> float:
    """Return the factor by which weight changes true density; 1 at the median body mass index."""
    square = person.height_m**2
    reference_kg = MEDIAN_BODY_MASS_INDEX[person.sex] * square
    bearing_kg = min(person.weight_kg, OBESE_BODY_MASS_INDEX * square)
    return float(np.exp(WEIGHT_GAIN_PER_KG * (bearing_kg - reference_kg)))


def _cortical_ageing(person: Person) -> float:
    share = CORTICAL_LOSS_BY_FIFTY[person.sex]
    ages = (YOUNG_AGE_YEARS, 50.0, YOUNG_AGE_YEARS + LIFETIME_YEARS)
    if person.age_years > ages[2]:
        return 1 + (1 - share) * (person.age_years - ages[2]) / (ages[2] - ages[1])
    return float(np.interp(person.age_years, ages, (0.0, share, 1.0)))


def _between(young_and_old: tuple[float, float], ageing: float) -> float:
    young, old = young_and_old
    return young + (old - young) * ageing


def _spread(log_sd: float, shared: float, own: float) -> float:
    deviation = np.sqrt(BONE_MASS_SHARE) * shared + np.sqrt(1 - BONE_MASS_SHARE) * own
    return float(np.exp(log_sd * deviation - log_sd**2 / 2))
