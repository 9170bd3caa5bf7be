import pytest

from qctkit.engine.targets import Target, draw_target, outside_range
from qctkit.errors import InputError
from qctkit.subject import Origin, Sex, Subject

SOURCES = {
    f"S{i}": Subject(f"S{i}", Sex.M if i % 2 else Sex.F, 40.0 + 3 * i, 50.0 + 4 * i)
    for i in range(8)
}
DRIVEN = ("sex", "age_years", "weight_kg")


def test_a_number_has_one_target_whatever_was_made_before() -> None:
    forward = [draw_target(SOURCES, DRIVEN, 3, number) for number in range(20)]
    backward = [draw_target(SOURCES, DRIVEN, 3, number) for number in reversed(range(20))]
    assert forward == backward[::-1]
    assert forward != [draw_target(SOURCES, DRIVEN, 4, number) for number in range(20)]


def test_all_values_come_from_one_real_subject_other_than_the_source() -> None:
    people = {
        sample_id: {name: one.value(name) for name in DRIVEN} for sample_id, one in SOURCES.items()
    }
    for number in range(50):
        target = draw_target(SOURCES, DRIVEN, 0, number)
        models = [one for one, values in people.items() if values == target.values]
        assert len(models) == 1
        assert models != [target.source_sample_id]


def test_sources_take_turns() -> None:
    sources = [draw_target(SOURCES, DRIVEN, 0, number).source_sample_id for number in range(16)]
    assert sorted(sources[:8]) == sorted(sources[8:]) == sorted(SOURCES)


def test_the_other_hip_is_no_model() -> None:
    hips = {
        "A-left": Subject("A", Sex.F, 60.0, 60.0),
        "A-right": Subject("A", Sex.F, 60.0, 60.0),
        "B": Subject("B", Sex.M, 80.0, 90.0),
    }
    for number in range(12):
        target = draw_target(hips, ("age_years",), 0, number)
        assert target.values["age_years"] == (60.0 if target.source_sample_id == "B" else 80.0)


def test_a_source_that_lacks_a_driven_attribute_is_left_out() -> None:
    some = {**SOURCES, "X": Subject("X", Sex.F)}
    assert all(
        draw_target(some, ("age_years",), 0, number).source_sample_id != "X" for number in range(30)
    )


def test_one_subject_is_too_few() -> None:
    with pytest.raises(InputError, match="at least two subjects"):
        draw_target({"A": SOURCES["S1"]}, DRIVEN, 0, 0)


def test_a_label_is_the_target_where_carried_and_the_source_elsewhere() -> None:
    target = Target("S0", {"sex": 1.0, "age_years": 81.0, "weight_kg": 99.0})
    label = target.label(SOURCES["S0"], ("age_years",))
    assert (label.sex, label.age_years, label.weight_kg) == (Sex.F, 81.0, 50.0)
    assert label.subject_id == "S0"
    assert label.origin("age_years") is Origin.TARGET
    assert label.origin("weight_kg") is Origin.TABLE
    everything = target.label(SOURCES["S0"], DRIVEN)
    assert (everything.sex, everything.weight_kg) == (Sex.M, 99.0)


def test_nothing_carried_is_the_sources_own_label() -> None:
    assert Target("S0", {"age_years": 81.0}).label(SOURCES["S0"], ()) == SOURCES["S0"]


def test_a_target_beyond_the_cohort_is_named() -> None:
    people = list(SOURCES.values())
    assert outside_range({"age_years": 20.0, "weight_kg": 60.0, "sex": 1.0}, people) == (
        "age_years",
    )
    assert outside_range({"age_years": 40.0, "weight_kg": 78.0}, people) == ()


def test_a_target_of_an_attribute_that_nobody_has_is_beyond_the_cohort() -> None:
    assert outside_range({"age_years": 50.0}, [Subject("A")]) == ("age_years",)
