from itertools import islice

import pytest

from qctkit.engine.target_draw import Limit, draw_targets
from qctkit.engine.targets import Asked, Target, same_for_all
from qctkit.errors import InputError
from qctkit.subject import Origin, Sex, Subject

SOURCES = {
    f"S{i}": Subject(f"S{i}", Sex.M if i % 2 else Sex.F, 40.0 + 3 * i, 50.0 + 4 * i)
    for i in range(8)
}
DRIVEN = ("sex", "age_years", "weight_kg")
PAIRS = 8 * 7


def drawn(
    count: int,
    seed: int = 0,
    driven: tuple[str, ...] = DRIVEN,
    limits: tuple[Limit, ...] = (),
    sources: dict[str, Subject] = SOURCES,
) -> list[Target]:
    return list(islice(draw_targets(sources, driven, seed, limits), count))


def test_a_number_has_one_target_however_many_are_drawn() -> None:
    assert drawn(20, seed=3) == drawn(150, seed=3)[:20]
    assert drawn(20, seed=3) != drawn(20, seed=4)


def test_all_values_come_from_one_real_subject_other_than_the_source() -> None:
    people = {
        sample_id: {name: one.value(name) for name in DRIVEN} for sample_id, one in SOURCES.items()
    }
    for target in drawn(PAIRS):
        models = [one for one, values in people.items() if values == target.values]
        assert len(models) == 1
        assert models != [target.source_sample_id]


def test_no_two_targets_are_alike() -> None:
    asked = {(one.source_sample_id, *one.values.values()) for one in drawn(400)}
    assert len(asked) == 400


def test_beyond_the_real_pairs_targets_lie_between_two_subjects_of_one_sex() -> None:
    for target in drawn(300)[PAIRS:]:
        age, weight, sex = (target.values[name] for name in ("age_years", "weight_kg", "sex"))
        assert sex in (0.0, 1.0)
        # In this cohort weight follows age exactly, so whoever is between two lies on the line.
        assert weight - 50 == pytest.approx((age - 40) / 3 * 4)
        assert 40.0 < age < 61.0


def test_sources_take_turns() -> None:
    sources = [one.source_sample_id for one in drawn(16)]
    assert sorted(sources[:8]) == sorted(sources[8:]) == sorted(SOURCES)


def test_the_other_hip_is_no_model() -> None:
    hips = {
        "A-left": Subject("A", Sex.F, 60.0, 60.0),
        "A-right": Subject("A", Sex.F, 60.0, 60.0),
        "B": Subject("B", Sex.M, 80.0, 90.0),
    }
    for target in drawn(3, driven=("age_years",), sources=hips):
        assert target.values["age_years"] == (60.0 if target.source_sample_id == "B" else 80.0)


def test_a_cohort_of_two_has_no_more_than_its_two_pairs() -> None:
    two = {"A": SOURCES["S0"], "B": SOURCES["S1"]}
    assert len(drawn(10, sources=two)) == 2


def test_a_source_that_lacks_a_driven_attribute_is_left_out() -> None:
    some = {**SOURCES, "X": Subject("X", Sex.F)}
    targets = drawn(30, driven=("age_years",), sources=some)
    assert all(one.source_sample_id != "X" for one in targets)


def test_one_subject_is_too_few() -> None:
    with pytest.raises(InputError, match="at least two subjects"):
        drawn(1, sources={"A": SOURCES["S1"]})


def test_limits_choose_whom_values_are_taken_from() -> None:
    limits = (Limit("age_years", 45.0, 56.0), Limit("sex", same_as_source=True))
    for target in drawn(200, limits=limits):
        assert 45.0 <= target.values["age_years"] <= 56.0
        assert target.values["sex"] == SOURCES[target.source_sample_id].value("sex")


def test_limits_that_nobody_obeys_are_refused() -> None:
    with pytest.raises(InputError, match=r"age_years=90:"):
        drawn(1, limits=(Limit("age_years", 90.0),))


def test_with_nothing_driven_there_is_no_end_of_targets_without_values() -> None:
    assert all(one.values == {} for one in drawn(500, driven=()))
    assert len(drawn(500, driven=())) == 500


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


def test_a_value_for_all_is_asked_once_of_each_source_that_has_another() -> None:
    targets = same_for_all({"age_years": Asked(43.0)}, SOURCES, seed=0)
    assert sorted(one.source_sample_id for one in targets) == sorted(set(SOURCES) - {"S1"})
    assert all(one.values == {"age_years": 43.0} for one in targets)


def test_a_change_for_all_is_added_to_each_sources_own_value() -> None:
    for target in same_for_all({"age_years": Asked(10.0, is_change=True)}, SOURCES, seed=0):
        source = SOURCES[target.source_sample_id]
        assert target.values["age_years"] == (source.age_years or 0.0) + 10.0


def test_a_source_whose_value_is_not_known_is_asked_nothing() -> None:
    some = {**SOURCES, "X": Subject("X", Sex.F)}
    targets = same_for_all({"age_years": Asked(75.0)}, some, seed=0)
    assert len(targets) == len(SOURCES)
    with pytest.raises(InputError, match="not known"):
        same_for_all({"age_years": Asked(75.0)}, {"X": some["X"]}, seed=0)


def test_a_change_to_an_age_that_nobody_has_names_the_subject_and_the_age() -> None:
    with pytest.raises(InputError, match=r"age_years of subject S\d would be 1[23]\d; ask for"):
        same_for_all({"age_years": Asked(80.0, is_change=True)}, SOURCES, seed=0)
