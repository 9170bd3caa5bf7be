from dataclasses import replace

import numpy as np
import pytest

from qctkit.errors import InputError
from qctkit.simulate import counterfactual, draw_person, person_of
from qctkit.simulate.person import AGE_RANGE_YEARS, Variation
from qctkit.subject import Origin, Sex


def test_a_person_depends_on_seed_and_index_alone():
    assert draw_person(3, 5) == draw_person(3, 5)
    assert draw_person(3, 5).variation != draw_person(3, 6).variation
    assert draw_person(3, 5).variation != draw_person(4, 5).variation


def test_each_pair_holds_one_woman_and_one_man_in_either_order():
    sexes = [draw_person(0, i).sex for i in range(40)]
    pairs = set(zip(sexes[::2], sexes[1::2], strict=True))
    assert pairs == {(Sex.F, Sex.M), (Sex.M, Sex.F)}


def test_ages_fill_the_stated_range_and_weights_follow_sex():
    people = [draw_person(1, i) for i in range(400)]
    ages = np.array([p.age_years for p in people])
    low, high = AGE_RANGE_YEARS
    assert low <= ages.min() < low + 3
    assert high - 3 < ages.max() <= high
    men = np.mean([p.weight_kg for p in people if p.sex is Sex.M])
    women = np.mean([p.weight_kg for p in people if p.sex is Sex.F])
    assert 79 < men < 87
    assert 65 < women < 73


def test_variation_is_independent_of_attributes():
    people = [draw_person(1, i) for i in range(400)]
    variation = np.array([list(vars(p.variation).values()) for p in people])
    attributes = np.array([[p.sex.code, p.age_years] for p in people])
    both = np.corrcoef(np.hstack([variation, attributes]).T)
    assert np.abs(both[: variation.shape[1], variation.shape[1] :]).max() < 0.18
    assert np.abs(variation.mean(axis=0)).max() < 0.18


def test_a_counterfactual_keeps_the_individual():
    person = draw_person(2, 4)
    other = counterfactual(person, age_years=80.0)
    assert other == replace(person, age_years=80.0)
    assert isinstance(other.variation, Variation)


def test_an_impossible_counterfactual_is_refused():
    with pytest.raises(InputError, match="weight_kg"):
        counterfactual(draw_person(2, 4), weight_kg=-3.0)


def test_a_negative_seed_is_refused():
    with pytest.raises(InputError, match="-1"):
        draw_person(-1, 0)


def test_attributes_of_the_subject_are_marked_simulated():
    subject = draw_person(2, 4).subject
    assert subject.subject_id == "sim-0004"
    assert {subject.origin(name) for name in ("sex", "age_years", "weight_kg")} == {
        Origin.SIMULATED
    }


def test_a_record_without_a_simulator_is_refused():
    with pytest.raises(InputError, match="simulator"):
        person_of({"reader": "dicom"})


def test_an_incomplete_record_is_refused_with_the_missing_name():
    with pytest.raises(InputError, match="age_years"):
        person_of({"simulator": {"seed": 1, "index": 2, "sex": "F"}})
