"""Targets after the published figures: means and spreads by age and sex, without rendering."""

import json

import numpy as np
import pytest

from qctkit.simulate import counterfactual, draw_person, truth_of
from qctkit.simulate.quality import OBESE_BODY_MASS_INDEX, weight_effect
from qctkit.simulate.scanner import contrast, noise_factor
from qctkit.simulate.soft_tissue import trochanteric_tissue_mm
from qctkit.subject import Sex

INTEGRAL = "integral_density_neck_mg_cm3"
TRABECULAR = "trabecular_density_neck_mg_cm3"
CORTICAL = "cortical_density_mg_cm3"


def mean(figures, name):
    return float(np.mean([figure[name] for figure in figures]))


def relative_sd(figures, name):
    values = [figure[name] for figure in figures]
    return float(np.std(values) / np.mean(values))


@pytest.mark.parametrize(
    ("sex", "age_years", "integral", "trabecular"),
    [
        (Sex.F, 25.0, 340.0, 160.0),
        (Sex.F, 85.0, 185.0, 70.0),
        (Sex.M, 25.0, 330.0, 160.0),
        (Sex.M, 85.0, 220.0, 85.0),
    ],
)
def test_neck_densities_meet_their_targets(group, sex, age_years, integral, trabecular):
    figures = group(sex, age_years)
    assert mean(figures, INTEGRAL) == pytest.approx(integral, rel=0.09)
    assert mean(figures, TRABECULAR) == pytest.approx(trabecular, rel=0.12)


@pytest.mark.parametrize("sex", list(Sex))
def test_integral_density_spreads_by_about_fifteen_percent(group, sex):
    assert 0.09 < relative_sd(group(sex, 25.0), INTEGRAL) < 0.19
    assert 0.10 < relative_sd(group(sex, 85.0), INTEGRAL) < 0.22


def test_trabecular_density_spreads_more_in_the_elderly_and_stays_positive(group):
    old = group(Sex.F, 85.0)
    assert relative_sd(old, TRABECULAR) > relative_sd(group(Sex.F, 25.0), TRABECULAR) > 0.1
    assert min(figure[TRABECULAR] for figure in old) > 0


def test_women_lose_more_than_men(group):
    kept = {s: mean(group(s, 85.0), INTEGRAL) / mean(group(s, 25.0), INTEGRAL) for s in Sex}
    assert kept[Sex.F] < kept[Sex.M] - 0.05


@pytest.mark.parametrize("sex", list(Sex))
def test_cortical_density_falls_ten_to_twentyfive_percent(group, sex):
    young, old = mean(group(sex, 25.0), CORTICAL), mean(group(sex, 85.0), CORTICAL)
    assert 1050 < young < 1150
    assert 0.10 < 1 - old / young < 0.25


@pytest.mark.parametrize("sex", list(Sex))
def test_the_inferior_cortex_is_kept_and_the_superior_thins(group, sex):
    young, old = group(sex, 25.0), group(sex, 85.0)
    inferior, superior = (f"cortical_thickness_neck_{side}_mm" for side in ("inferior", "superior"))
    assert 2.5 < mean(old, inferior) < mean(young, inferior) < 3.5
    assert mean(old, inferior) > 0.9 * mean(young, inferior)
    assert 1.3 < mean(young, superior) < 1.8
    assert 0.5 < mean(old, superior) < 0.9


@pytest.mark.parametrize(
    ("sex", "head", "neck", "axis"), [(Sex.F, 43.0, 30.5, 105.0), (Sex.M, 48.0, 35.0, 120.0)]
)
def test_sizes_meet_their_means(group, sex, head, neck, axis):
    figures = group(sex, 55.0)
    assert 2 * mean(figures, "head_radius_mm") == pytest.approx(head, abs=1.5)
    assert mean(figures, "neck_width_mm") == pytest.approx(neck, abs=1.5)
    assert mean(figures, "hip_axis_length_mm") == pytest.approx(axis, abs=3.5)
    assert mean(figures, "neck_shaft_angle_deg") == pytest.approx(124.7, abs=3.5)


@pytest.mark.parametrize("sex", list(Sex))
def test_the_neck_section_grows_fifteen_percent_over_life(group, sex):
    gain = mean(group(sex, 85.0), "neck_area_mm2") / mean(group(sex, 25.0), "neck_area_mm2")
    assert 1.12 < gain < 1.18


def test_mens_neck_section_is_larger_by_a_quarter_to_two_fifths(group):
    ratio = mean(group(Sex.M, 25.0), "neck_area_mm2") / mean(group(Sex.F, 25.0), "neck_area_mm2")
    assert 1.24 < ratio < 1.42


def test_ten_kilograms_add_two_to_four_percent_of_true_density():
    person = counterfactual(draw_person(11, 0), weight_kg=55.0)
    heavier = counterfactual(person, weight_kg=65.0)
    assert heavier.body_mass_index < OBESE_BODY_MASS_INDEX
    for name in (INTEGRAL, TRABECULAR):
        assert 0.02 < truth_of(heavier)[name] / truth_of(person)[name] - 1 < 0.04


def test_weight_above_a_body_mass_index_of_thirty_adds_nothing():
    person = draw_person(11, 0)
    limit = OBESE_BODY_MASS_INDEX * person.height_m**2
    obese, more = (counterfactual(person, weight_kg=limit + extra) for extra in (1.0, 30.0))
    assert weight_effect(obese) == weight_effect(more)


def test_size_lowers_measured_contrast_by_two_to_eight_percent_and_raises_noise():
    person = draw_person(11, 0)
    light, heavy = (counterfactual(person, weight_kg=kg) for kg in (60.0, 110.0))
    assert 0.02 < 1 - contrast(heavy) / contrast(light) < 0.08
    assert noise_factor(heavy) > 1.3 * noise_factor(light)


def test_trochanteric_soft_tissue_of_men_matches_and_grows_with_weight():
    men = [p for p in (draw_person(3, i) for i in range(400)) if p.sex is Sex.M]
    thickness = [trochanteric_tissue_mm(p) for p in men]
    assert np.mean(thickness) == pytest.approx(31.0, abs=2.0)
    assert np.std(thickness) == pytest.approx(11.5, abs=2.5)
    heavier = counterfactual(men[0], weight_kg=men[0].weight_kg + 20)
    assert trochanteric_tissue_mm(heavier) > trochanteric_tissue_mm(men[0]) + 8


def test_a_density_only_counterfactual_mixes_the_two_truths():
    person = draw_person(11, 0)
    target = counterfactual(person, age_years=90.0, weight_kg=50.0)
    mixed, own = truth_of(person, target), truth_of(person)
    assert mixed["neck_width_mm"] == own["neck_width_mm"]
    assert mixed["trochanteric_soft_tissue_mm"] == own["trochanteric_soft_tissue_mm"]
    assert mixed[CORTICAL] == truth_of(target)[CORTICAL] != own[CORTICAL]


def test_truth_survives_json():
    truth = truth_of(draw_person(11, 0))
    assert json.loads(json.dumps(truth)) == truth
