import itertools
import json

import numpy as np
import pytest
from scipy import ndimage

from qctkit.cohort import MaskOrigin, Side
from qctkit.errors import InputError
from qctkit.simulate import (
    SimulationSettings,
    counterfactual,
    draw_person,
    person_of,
    simulate_cohort,
    simulate_counterfactual,
    simulate_person,
)
from qctkit.simulate.soft_tissue import trochanteric_tissue_mm
from qctkit.units import Unit


def same_bytes(first, second):
    return (
        first.volume.voxels.tobytes() == second.volume.voxels.tobytes()
        and first.femur.voxels.tobytes() == second.femur.voxels.tobytes()
    )


def test_the_same_person_gives_the_same_bytes(person, coarse):
    assert same_bytes(simulate_person(person, coarse), simulate_person(person, coarse))


def test_a_subject_does_not_depend_on_the_size_of_the_cohort(coarse):
    few = list(simulate_cohort(2, 5, coarse))
    more = list(simulate_cohort(4, 5, coarse))
    assert [s.sample_id for s in more] == ["sim-0000", "sim-0001", "sim-0002", "sim-0003"]
    assert all(same_bytes(a, b) for a, b in zip(few, more, strict=False))
    assert not same_bytes(more[0], more[1])


def test_a_cohort_is_made_lazily(coarse):
    assert len(list(itertools.islice(simulate_cohort(10**9, 5, coarse), 1))) == 1


def test_an_empty_cohort_is_refused_at_once():
    with pytest.raises(InputError, match="at least one"):
        simulate_cohort(0, 5)


def test_a_sample_is_int16_hu_of_a_left_femur_with_its_calibration(sample):
    assert sample.volume.voxels.dtype == np.int16
    assert sample.volume.unit is Unit.HU
    assert sample.volume.calibration.origin == "simulated"
    assert (sample.femur.side, sample.femur.origin) == (Side.LEFT, MaskOrigin.SIMULATED)


def test_a_sample_says_how_to_make_its_person_again(sample, person):
    record = json.loads(json.dumps(sample.provenance))
    assert person_of(sample) == person_of(record) == person
    assert SimulationSettings.from_record(record["simulator"]["settings"]) == SimulationSettings()


@pytest.mark.parametrize("density_only", [True, False])
def test_a_counterfactual_without_change_has_the_same_bytes(person, coarse, density_only):
    same = simulate_counterfactual(person, person, coarse, density_only=density_only)
    assert same_bytes(same, simulate_person(person, coarse))


def test_a_full_counterfactual_is_the_target_person(person, coarse):
    target = counterfactual(person, age_years=88.0, weight_kg=50.0)
    made = simulate_counterfactual(person, target, coarse, density_only=False)
    assert same_bytes(made, simulate_person(target, coarse))
    assert person_of(made) == target


def test_a_density_only_counterfactual_changes_the_femur_alone(person, coarse):
    source = counterfactual(person, age_years=30.0, weight_kg=70.0)
    target = counterfactual(source, age_years=88.0, weight_kg=110.0)
    before = simulate_person(source, coarse)
    after = simulate_counterfactual(source, target, coarse, density_only=True)
    np.testing.assert_array_equal(before.femur.voxels, after.femur.voxels)
    distance = ndimage.distance_transform_edt(~before.femur.voxels, sampling=coarse.spacing_mm)
    changed = before.volume.voxels != after.volume.voxels
    assert distance[changed].max() < 6.0
    inside = before.femur.voxels
    assert changed[inside].mean() > 0.8
    assert after.volume.voxels[inside].mean() < before.volume.voxels[inside].mean() - 50
    assert after.subject == target.subject
    assert person_of(after) == source


def test_a_counterfactual_keeps_the_noise(person, coarse):
    older = counterfactual(person, age_years=85.0)
    made = [simulate_person(p, coarse).volume.voxels.astype(float) for p in (person, older)]
    air = ndimage.binary_erosion((made[0] < -900) & (made[1] < -900), iterations=3)
    assert air.sum() > 100
    assert np.corrcoef(made[0][air], made[1][air])[0, 1] > 0.995


def test_another_individual_is_no_counterfactual(person, coarse):
    with pytest.raises(InputError, match="counterfactual"):
        simulate_counterfactual(person, draw_person(person.seed, 7), coarse, density_only=True)


def test_muscle_fat_and_air_have_their_hu():
    light = counterfactual(draw_person(11, 0), weight_kg=65.0)
    values = simulate_person(light, SimulationSettings((4.0, 1.5, 1.5), noise_hu=5.0)).volume.voxels
    for low, high, expected in ((-1100, -900, -1000), (-150, -50, -103), (20, 90, 54)):
        count, edges = np.histogram(values, np.arange(low, high, 4))
        assert count.sum() > 5000
        assert edges[count.argmax()] + 2 == pytest.approx(expected, abs=6)


def test_soft_tissue_over_the_trochanter_is_the_recorded_thickness():
    person = counterfactual(draw_person(11, 1), weight_kg=65.0)
    sample = simulate_person(person, SimulationSettings((2.0, 2.0, 1.0), noise_hu=0.0))
    lateral = np.argwhere(sample.femur.voxels)
    d, h, w = lateral[lateral[:, 2].argmin()]
    skin = np.flatnonzero(sample.volume.voxels[d, h] > -500)[0]
    assert w - skin == pytest.approx(trochanteric_tissue_mm(person), abs=3.0)


@pytest.mark.parametrize("spacing_mm", [(1.5, 0.8, 0.8), (5.0, 3.0, 2.0)])
def test_any_spacing_shows_the_same_body(person, spacing_mm, sample):
    other = simulate_person(person, SimulationSettings(spacing_mm))
    means = [s.volume.voxels[s.femur.voxels].mean() for s in (other, sample)]
    volumes = [s.femur.voxels.sum() * s.volume.geometry.voxel_volume_mm3 for s in (other, sample)]
    assert means[0] == pytest.approx(means[1], rel=0.08)
    assert volumes[0] == pytest.approx(volumes[1], rel=0.04)


def test_a_grid_of_a_few_voxels_is_possible(person):
    assert simulate_person(person, SimulationSettings((30.0, 25.0, 25.0))).femur.voxels.any()
    assert simulate_person(person, SimulationSettings((160.0, 130.0, 160.0))).femur.voxels.all()
