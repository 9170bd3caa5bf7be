import pytest

from qctkit.errors import InputError
from qctkit.processes import in_processes
from qctkit.subject import (
    ATTRIBUTES,
    SEX,
    Attribute,
    Origin,
    Sex,
    Subject,
    attributes_of,
    common_attributes,
    know,
    known_attribute,
)


@pytest.mark.parametrize("name", ["", "Jane Doe", "-a", ".a", "a/b", "a\n", "é", "a" * 65])
def test_an_id_that_is_no_plain_pseudonym_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="subject_id"):
        Subject(name)


@pytest.mark.parametrize("name", ["A", "0", "a.b_c-d", "a" * 64])
def test_a_plain_pseudonym_is_taken(name: str) -> None:
    assert Subject(name).subject_id == name


@pytest.mark.parametrize("age", [-1.0, 0.0, 120.5, float("nan"), float("inf")])
def test_an_impossible_age_is_refused_naming_the_subject(age: float) -> None:
    with pytest.raises(InputError, match=r"age_years of subject A is"):
        Subject("A", age_years=age)


@pytest.mark.parametrize("weight", [0.0, 1.0, 401.0, float("nan")])
def test_an_impossible_weight_is_refused(weight: float) -> None:
    with pytest.raises(InputError, match="weight_kg"):
        Subject("A", weight_kg=weight)


def test_what_is_missing_is_none_and_says_so() -> None:
    subject = Subject("A", origins={"age_years": Origin.HEADER})
    for name in ("sex", "age_years", "weight_kg"):
        assert subject.value(name) is None
        assert subject.origin(name) is Origin.MISSING


def test_values_are_numbers_with_sex_coded_zero_and_one() -> None:
    subject = Subject("A", Sex.M, 70.0, 80.0, {"sex": Origin.HEADER})
    assert [subject.value(n) for n in ("sex", "age_years", "weight_kg")] == [1.0, 70.0, 80.0]
    assert Subject("B", Sex.F).value("sex") == 0.0
    assert subject.origin("sex") is Origin.HEADER
    assert subject.origin("age_years") is Origin.TABLE


@pytest.mark.parametrize(
    ("name", "kind", "unit", "high", "words"),
    [
        ("height", "continuous", "cm", 250.0, "such as height_cm"),
        ("Height_cm", "continuous", "cm", 250.0, "small letters"),
        ("height_cm", "continuous", "cm", 0.0, "holds no values"),
        ("smoker", "binary", "", 2.0, "a binary one is 0 to 1"),
        ("smoker", "either", "", 1.0, "is not binary, continuous"),
    ],
)
def test_an_attribute_that_does_not_say_what_it_is_is_refused(
    name: str, kind: str, unit: str, high: float, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        Attribute(name, kind, unit, 0.0, high)


def test_a_unit_of_several_parts_ends_the_name() -> None:
    assert Attribute("body_mass_index_kg_m2", "continuous", "kg/m2", 8.0, 90.0).unit == "kg/m2"


@pytest.mark.parametrize("name", ["side", "spacing_mm", "weight_origin"])
def test_a_name_that_the_cohort_file_has_for_something_else_is_refused(name: str) -> None:
    unit = name.rsplit("_")[-1] if name == "spacing_mm" else ""
    with pytest.raises(InputError, match="has a column of this name"):
        know([Attribute(name, "continuous", unit, 0.0, 9.0)])
    assert name not in ATTRIBUTES


def test_of_two_ranges_the_wider_holds_and_another_quantity_is_refused(grip: str) -> None:
    know([Attribute(grip, "continuous", "kg", 5.0, 200.0)])
    assert (ATTRIBUTES[grip].low, ATTRIBUTES[grip].high) == (0.0, 200.0)
    with pytest.raises(InputError, match="is continuous in no unit and also continuous in kg"):
        know([Attribute(grip, "continuous", "", 0.0, 9.0)])


def test_a_subject_states_what_it_has_and_passes_it_on(grip: str) -> None:
    subject = Subject("A", Sex.F, 70.0).with_values({grip: 31.5, "sex": 1.0}, Origin.TARGET)
    assert (subject.value(grip), subject.stated("sex"), subject.value("weight_kg")) == (
        31.5, Sex.M, None,
    )  # fmt: skip
    assert subject.origin(grip) is subject.origin("sex") is Origin.TARGET
    assert subject.origin("age_years") is Origin.TABLE
    assert attributes_of([Subject("B"), subject]) == ("sex", "age_years", "weight_kg", grip)
    assert attributes_of([Subject("B")]) == ("sex", "age_years", "weight_kg")


def test_a_value_out_of_range_and_an_attribute_that_nobody_defines_are_refused(grip: str) -> None:
    with pytest.raises(InputError, match="grip_strength_kg of subject A is 121; expected more"):
        Subject("A", others={grip: 121.0})
    with pytest.raises(InputError, match=r"no attribute 'shoe_size' .* comes with a plugin"):
        Subject("A", others={"shoe_size": 40.0})


def test_what_few_have_is_left_out_of_regressions(grip: str) -> None:
    known, unknown = Subject("A", others={grip: 30.0}), Subject("B")
    assert grip in common_attributes([known, unknown])
    assert grip not in common_attributes([known, unknown, unknown])


def test_worker_processes_know_what_this_one_knows(grip: str) -> None:
    found = dict(in_processes(known_attribute, [grip, "sex"], 2))
    assert found == {grip: ATTRIBUTES[grip], "sex": SEX}
