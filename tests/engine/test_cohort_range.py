import numpy as np
import pytest

from qctkit.engine.cohort_range import cohort_range
from qctkit.subject import Sex, Subject

PEOPLE = [
    Subject(f"S{i}", Sex.M if i % 2 else Sex.F, 40.0 + 5 * i, 50.0 + 3 * i + (i * i) % 7)
    for i in range(10)
]
RANGE = cohort_range(PEOPLE)


def person(sex: float, age_years: float, weight_kg: float | None) -> dict[str, float | None]:
    return {"sex": sex, "age_years": age_years, "weight_kg": weight_kg}


def test_no_real_subject_lies_beyond_its_own_cohort() -> None:
    for one in PEOPLE:
        assert not RANGE.extrapolation({name: one.value(name) for name in person(0, 0, 0)})


def test_a_value_that_nobody_has_is_beyond() -> None:
    assert RANGE.extrapolation(person(0.0, 20.0, 60.0)).attributes == ("age_years",)
    women = cohort_range([one for one in PEOPLE if one.sex is Sex.F])
    assert women.extrapolation(person(1.0, 60.0, 60.0)).attributes == ("sex",)


def test_two_usual_values_that_nobody_has_together_are_beyond_jointly() -> None:
    found = RANGE.extrapolation(person(0.0, 45.0, 80.0))
    assert found.attributes == ()
    assert found.is_jointly
    assert found


def test_the_distance_is_that_of_mahalanobis() -> None:
    table = np.array([[one.value(name) for name in RANGE.together] for one in PEOPLE], dtype=float)
    offset = np.array([1.0, 58.0, 70.0]) - table.mean(axis=0)
    expected = np.sqrt(offset @ np.linalg.inv(np.cov(table.T)) @ offset)
    assert RANGE.extrapolation(person(1.0, 58.0, 70.0)).distance == pytest.approx(expected)


def test_what_is_not_known_is_not_beyond() -> None:
    found = RANGE.extrapolation(person(0.0, 50.0, None))
    assert (found.attributes, found.distance, found.is_jointly) == ((), None, False)


def test_too_few_subjects_say_nothing_of_attributes_together() -> None:
    few = cohort_range(PEOPLE[:4])
    assert few.together == ()
    assert few.extrapolation(person(0.0, 45.0, 60.0)).distance is None


def test_an_attribute_that_nobody_has_is_beyond() -> None:
    nobody = cohort_range([Subject("A"), Subject("B")])
    assert nobody.extrapolation({"age_years": 50.0}).attributes == ("age_years",)


def test_two_hips_of_a_subject_count_once() -> None:
    twice = cohort_range([*PEOPLE, *PEOPLE[:3]])
    assert twice.record() == RANGE.record()
    np.testing.assert_array_equal(twice.precision, RANGE.precision)
