import pytest

from qctkit.errors import InputError
from qctkit.subject import Origin, Sex, Subject


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
