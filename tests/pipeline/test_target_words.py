import math

import pytest

from qctkit.engine.target_draw import Limit
from qctkit.engine.targets import Asked
from qctkit.errors import InputError
from qctkit.pipeline.target_words import read_asked, read_limits


def test_a_plain_value_is_a_value_and_a_sign_makes_it_a_change() -> None:
    assert read_asked(["age_years=75", "sex=M", "weight_kg=-2.5"]) == {
        "age_years": Asked(75.0),
        "sex": Asked(1.0),
        "weight_kg": Asked(-2.5, is_change=True),
    }
    assert read_asked(["age_years=+10"]) == {"age_years": Asked(10.0, is_change=True)}


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("age_years", "NAME=VALUE"),
        ("age_years=", "NAME=VALUE"),
        ("age=75", "no attribute 'age'; choose sex or age_years or weight_kg"),
        ("age_years=old", "'old'; expected a number"),
        ("age_years=nan", "expected a number"),
        ("age_years=200", "at most 120 years"),
        ("weight_kg=0", "more than 1"),
        ("sex=X", "expected F or M"),
        ("sex=+1", "expected F or M"),
    ],
)
def test_a_wrong_target_is_shown_with_what_is_expected(option: str, words: str) -> None:
    with pytest.raises(InputError) as refused:
        read_asked([option])
    assert f"--target {option}" in str(refused.value)
    assert words in str(refused.value)


def test_an_attribute_of_a_plugin_can_be_asked_for_within_its_range(grip: str) -> None:
    assert read_asked([f"{grip}=40", "age_years=75"])[grip] == Asked(40.0)
    (limit,) = read_limits([f"{grip}=20:"])
    assert limit.words == f"{grip}=20:"
    with pytest.raises(InputError, match="more than 0 and at most 120 kg"):
        read_asked([f"{grip}=140"])


def test_an_attribute_is_asked_for_once() -> None:
    with pytest.raises(InputError, match="given twice"):
        read_asked(["sex=M", "sex=F"])


def test_ranges_may_be_open() -> None:
    assert read_limits(["age_years=60:80", "weight_kg=:70", "age_years=65:"]) == (
        Limit("age_years", 60.0, 80.0),
        Limit("weight_kg", -math.inf, 70.0),
        Limit("age_years", 65.0, math.inf),
    )
    assert read_limits(["sex=F", "sex=same"]) == (
        Limit("sex", 0.0, 0.0),
        Limit("sex", same_as_source=True),
    )


def test_limits_are_told_as_they_are_written() -> None:
    words = ["age_years=60:80", "weight_kg=:70", "age_years=65:", "sex=M", "sex=same"]
    assert [one.words for one in read_limits(words)] == words


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("age_years=60", "LOW:HIGH"),
        ("age_years=:", "LOW:HIGH"),
        ("age_years=80:60", "range is empty"),
        ("age_years=a:b", "'a'; expected a number"),
        ("sex=women", "expected F or M"),
        ("age=60:80", "no attribute 'age'"),
    ],
)
def test_a_wrong_limit_is_shown_with_what_is_expected(option: str, words: str) -> None:
    with pytest.raises(InputError) as refused:
        read_limits([option])
    assert f"--target-where {option}" in str(refused.value)
    assert words in str(refused.value)
