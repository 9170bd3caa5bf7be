"""Truth against the rendered solid, before blur and noise."""

import numpy as np
import pytest

from qctkit.geometry import Geometry
from qctkit.simulate import SimulationSettings, counterfactual, draw_person, truth_of
from qctkit.simulate.anatomy import Anatomy
from qctkit.simulate.femur import femur_distance, neck_coordinates, to_femur
from qctkit.simulate.neck import in_neck_slab
from qctkit.simulate.pelvis import pelvis_distance
from qctkit.simulate.render import Block, render
from qctkit.simulate.scanner import CALIBRATION, REFERENCE_WEIGHT_KG
from qctkit.simulate.solids import Points
from qctkit.subject import Sex


def anatomy_of(index: int, **attributes: float) -> Anatomy:
    person = counterfactual(draw_person(11, index), weight_kg=REFERENCE_WEIGHT_KG, **attributes)
    return Anatomy(person, person)


def world_points(geometry: Geometry) -> Points:
    return Block.within(geometry, ((-1e4,) * 3, (1e4,) * 3), np.inf).points


@pytest.mark.parametrize("age_years", [30.0, 80.0])
def test_neck_densities_of_the_image_are_the_recorded_ones(age_years):
    anatomy = anatomy_of(0, age_years=age_years)
    geometry = SimulationSettings((1.0, 1.0, 1.0)).geometry
    rendering = render(anatomy, geometry)
    density = CALIBRATION.density_mg_cm3(rendering.hu)
    points = to_femur(world_points(geometry), anatomy.shape)
    slab = in_neck_slab(neck_coordinates(points, anatomy.shape), anatomy.shape)
    distance = np.broadcast_to(anatomy.femur_distance(world_points(geometry)), geometry.shape)
    truth = truth_of(anatomy.person)
    # Voxels on the surface hold soft tissue too: half of that shell is bone, so the mean of the
    # grown region less its soft tissue is the integral density.
    grown = slab & (distance < 1.0)
    bone = np.clip(0.5 - distance[grown], 0, 1)
    soft = CALIBRATION.density_mg_cm3(np.array([54.0]))[0]
    mineral = density[grown] - (1 - bone) * soft
    assert mineral.sum() / bone.sum() == pytest.approx(
        truth["integral_density_neck_mg_cm3"], rel=0.03
    )
    # Well within the cortex only trabecular bone is left.
    thickness = anatomy.cortical_thickness(world_points(geometry))
    inner = slab & (distance + thickness < -0.5)
    assert density[inner].mean() == pytest.approx(truth["trabecular_density_neck_mg_cm3"], rel=0.06)


def test_the_mask_has_the_volume_of_the_solid_at_two_spacings():
    anatomy = anatomy_of(1)
    volumes = []
    for spacing in ((1.0, 1.0, 1.0), (3.0, 2.0, 2.0)):
        geometry = SimulationSettings(spacing).geometry
        volumes.append(render(anatomy, geometry).femur.sum() * geometry.voxel_volume_mm3)
    assert volumes[0] == pytest.approx(volumes[1], rel=0.01)


def test_the_shaft_section_is_the_recorded_ellipse():
    anatomy = anatomy_of(1)
    geometry = SimulationSettings((2.0, 0.5, 0.5), (160.0, 70.0, 90.0)).geometry
    lowest = anatomy.femur_distance(world_points(geometry))[0] < 0
    # The section is cut a little aslant: its area is larger by one over the cosine.
    cosine = anatomy.shape.to_world[2, 2]
    assert lowest.sum() * 0.25 * cosine == pytest.approx(
        truth_of(anatomy.person)["shaft_area_mm2"], rel=0.02
    )


def test_the_head_of_the_mask_is_the_recorded_sphere():
    anatomy = anatomy_of(2)
    geometry = SimulationSettings((1.0, 1.0, 1.0)).geometry
    mask = render(anatomy, geometry).femur
    indices = np.argwhere(mask)
    offset = geometry.to_world(indices) - anatomy.shape.head_centre_world_mm
    medial = offset[offset @ np.array(anatomy.shape.to_world @ anatomy.shape.neck_direction) > 0]
    radius = np.linalg.norm(medial, axis=1).max()
    assert radius == pytest.approx(anatomy.shape.head_radius_mm, abs=0.6)
    half = 2 / 3 * np.pi * anatomy.shape.head_radius_mm**3
    assert len(medial) == pytest.approx(half, rel=0.02)


@pytest.mark.parametrize("index", range(6))
def test_the_neck_of_the_solid_has_the_recorded_width(index):
    anatomy = anatomy_of(index)
    shape = anatomy.shape
    steps = np.arange(-30, 30, 0.1)[:, None]
    line = shape.narrowest_mm * np.array(shape.neck_direction)
    line = (line + steps * np.array(shape.neck_inferior)).astype(np.float32)
    width = 0.1 * (femur_distance(Points(*line.T), shape) < 0).sum()
    assert width == pytest.approx(truth_of(anatomy.person)["neck_width_mm"], abs=0.25)
    assert width == pytest.approx(2 * shape.neck_radius_mm, rel=0.09)


@pytest.mark.parametrize("index", range(6))
def test_the_joint_space_is_three_to_four_millimetres(index):
    anatomy = anatomy_of(index)
    shape = anatomy.shape
    points = world_points(SimulationSettings((1.0, 1.0, 1.0)).geometry)
    pelvis = pelvis_distance(
        points, shape.head_centre_world_mm, shape.head_radius_mm, shape.joint_space_mm
    )
    gap = anatomy.femur_distance(points)[pelvis < 0].min()
    assert 3.0 - 0.2 < gap < 4.0 + 0.8


@pytest.mark.parametrize("index", range(8))
def test_the_femur_lies_within_the_field_of_view_but_for_its_shaft(index):
    mask = render(anatomy_of(index), SimulationSettings((3.0, 3.0, 3.0)).geometry).femur
    assert mask[0].any()
    for edge in (mask[-1], mask[:, 0], mask[:, -1], mask[:, :, 0], mask[:, :, -1]):
        assert not edge.any()


def test_the_head_lies_medial_and_superior_and_the_greater_trochanter_lateral():
    anatomy = anatomy_of(3, sex=Sex.M)
    x, _, z = anatomy.shape.head_centre_world_mm
    assert x > 20
    assert z > 15
    geometry = SimulationSettings((2.0, 2.0, 2.0)).geometry
    world = geometry.to_world(np.argwhere(render(anatomy, geometry).femur))
    assert world[:, 0].min() < -18


def test_the_canal_holds_fatty_marrow_and_the_cortex_is_dense():
    anatomy = anatomy_of(4, age_years=30.0)
    geometry = SimulationSettings((2.0, 1.0, 1.0)).geometry
    hu = render(anatomy, geometry).hu
    distance = np.broadcast_to(anatomy.femur_distance(world_points(geometry)), geometry.shape)
    shaft = np.zeros(geometry.shape, bool)
    shaft[:5] = True
    assert -50 < hu[shaft & (distance < -10)].mean() < 50
    assert hu[shaft & (distance < -1.5) & (distance > -3)].mean() > 1100
