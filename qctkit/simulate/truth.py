"""What the simulator knows of a subject and a scanner does not: figures for the record."""

from typing import Any

import numpy as np

from qctkit.simulate.anatomy import Anatomy
from qctkit.simulate.femur import SHAFT_DEPTH_TO_WIDTH, lateral_reach_mm
from qctkit.simulate.mineral import cortical_thickness
from qctkit.simulate.neck import neck_surface, neck_width_mm
from qctkit.simulate.person import Person
from qctkit.simulate.quality import weight_effect
from qctkit.simulate.scanner import CALIBRATION, contrast, noise_factor
from qctkit.simulate.shape import MEDIAL_WALL_MM
from qctkit.simulate.soft_tissue import mean_muscle_hu, trochanteric_tissue_mm
from qctkit.simulate.solids import Points

SHAFT_LEVEL_MM = -65.0
"""Where the shaft's cortex is stated: this far along the shaft axis from the crossing, mm."""


def truth_of(person: Person, bone_of: Person | None = None) -> dict[str, Any]:
    """Return the true figures of a person without rendering; JSON can hold them.

    Densities are mg/cm3, K2HPO4-equivalent, marrow included, as an ideal QCT would read them;
    lengths are mm, angles degrees.

    Args:
        person: whose body it is.
        bone_of: whose femoral bone fills it; the person's own when None.
    """
    return anatomy_truth(Anatomy(person, person if bone_of is None else bone_of))


def anatomy_truth(anatomy: Anatomy) -> dict[str, Any]:
    """Return the true figures of an anatomy, see ``truth_of``."""
    return {
        "density_material": CALIBRATION.material.value,
        **_densities(anatomy),
        **_thicknesses(anatomy),
        **_geometry(anatomy),
        **_body(anatomy),
    }


def _densities(anatomy: Anatomy) -> dict[str, float]:
    neck = anatomy.neck_figures
    return {
        "integral_density_neck_mg_cm3": neck.integral_mg_cm3,
        "trabecular_density_neck_mg_cm3": neck.trabecular_mg_cm3,
        "cortical_density_mg_cm3": anatomy.quality.cortical_mg_cm3,
        "cortical_fraction_neck": neck.cortical_fraction,
        "weight_effect_on_density": weight_effect(anatomy.bone_of),
    }


def _thicknesses(anatomy: Anatomy) -> dict[str, float]:
    shape = anatomy.shape
    level = np.full(1, SHAFT_LEVEL_MM * shape.scale, dtype=np.float32)
    zero = np.zeros_like(level)
    sites = {
        "cortical_thickness_neck_superior_mm": neck_surface(shape, -1.0),
        "cortical_thickness_neck_inferior_mm": neck_surface(shape, 1.0),
        "cortical_thickness_shaft_mm": Points(
            zero + np.float32(shape.shaft_radius_mm), zero, level
        ),
    }
    return {
        name: float(cortical_thickness(points, shape, anatomy.quality)[0])
        for name, points in sites.items()
    }


def _geometry(anatomy: Anatomy) -> dict[str, float]:
    shape = anatomy.shape
    to_apex = lateral_reach_mm(shape) + shape.neck_length_mm + shape.head_radius_mm
    return {
        "head_radius_mm": shape.head_radius_mm,
        "neck_width_mm": neck_width_mm(shape),
        "neck_area_mm2": anatomy.neck_figures.area_mm2,
        "neck_shaft_angle_deg": shape.neck_shaft_angle_deg,
        "version_deg": shape.version_deg,
        "femoral_offset_mm": shape.head_centre_mm[0],
        "hip_axis_length_mm": to_apex + shape.joint_space_mm + MEDIAL_WALL_MM,
        "joint_space_mm": shape.joint_space_mm,
        "shaft_area_mm2": float(np.pi * shape.shaft_radius_mm**2 * SHAFT_DEPTH_TO_WIDTH),
    }


def _body(anatomy: Anatomy) -> dict[str, float]:
    person = anatomy.person
    return {
        "height_m": person.height_m,
        "body_mass_index": person.body_mass_index,
        "trochanteric_soft_tissue_mm": trochanteric_tissue_mm(person),
        "muscle_hu": mean_muscle_hu(person),
        "measured_over_true_contrast": contrast(person),
        "noise_over_reference": noise_factor(person),
    }
