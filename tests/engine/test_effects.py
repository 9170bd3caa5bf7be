"""Effects of attributes on a cohort of planted numbers."""

import numpy as np
import pytest

from qctkit.engine.effects import FEWEST, Array, Design

SUBJECTS = 40


def _attributes(subjects: int = SUBJECTS, seed: int = 0) -> dict[str, Array]:
    generator = np.random.default_rng(seed)
    sex = generator.permutation(np.arange(subjects) % 2).astype(float)
    age = generator.uniform(40.0, 90.0, subjects)
    weight = 70.0 + 10.0 * sex + generator.normal(0.0, 8.0, subjects)
    return {"sex": sex, "age_years": age, "weight_kg": weight}


def _noise(*shape: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def _design(subjects: int = SUBJECTS) -> Design:
    return Design.of(_attributes(subjects), _noise(subjects, seed=2))


def _moves(design: Design, effects: Array, **asked: float) -> Array:
    """Return what effects ``(A, P)`` say of a man of 60 years and 70 kg who changes."""
    before = {"sex": 1.0, "age_years": 60.0, "weight_kg": 70.0}
    moves: Array = design.change(before, before | asked) @ effects
    return moves


def test_a_planted_effect_of_every_attribute_is_recovered() -> None:
    design = _design()
    table = _attributes()
    measured = (30.0 * table["sex"] - 2.0 * table["age_years"] + 50.0 * np.log(table["weight_kg"]))[
        :, None
    ]
    effects = design.effects(measured + _noise(SUBJECTS, 1))
    np.testing.assert_allclose(_moves(design, effects, sex=0.0), -30.0, atol=3.0)
    np.testing.assert_allclose(_moves(design, effects, age_years=80.0), -40.0, atol=3.0)
    expected = 50.0 * np.log(90.0 / 70.0)
    np.testing.assert_allclose(_moves(design, effects, weight_kg=90.0), expected, atol=2.0)


def test_a_change_of_sex_reaches_a_quantity_through_the_size_of_the_skeleton() -> None:
    table = _attributes()
    size = 2.0 * table["sex"] + 0.3 * _noise(SUBJECTS)
    design = Design.of(table, size)
    effects = design.effects(10.0 * size[:, None])
    np.testing.assert_allclose(_moves(design, effects, sex=0.0), -20.0, atol=1.5)


def test_weight_explains_only_what_the_size_of_the_skeleton_does_not() -> None:
    table = _attributes()
    size = _noise(SUBJECTS)
    table["weight_kg"] = np.exp(np.log(70.0) + 0.1 * size + 0.05 * _noise(SUBJECTS, seed=4))
    effects = Design.of(table, size).effects(10.0 * size[:, None])
    assert abs(_moves(_design(), effects, weight_kg=90.0).item()) < 2.0  # else it would be 20


def test_bone_shape_never_follows_weight() -> None:
    design = _design()
    effects = design.bone_shape_effects(np.log(_attributes()["weight_kg"])[:, None])
    assert (effects[design.names.index("weight_kg")] == 0.0).all()
    assert (_moves(design, effects, weight_kg=120.0) == 0.0).all()


def test_bone_shape_follows_sex_and_age() -> None:
    design, table = _design(), _attributes()
    planted = 5.0 * table["sex"] + 0.1 * table["age_years"]
    effects = design.bone_shape_effects(planted[:, None])
    assert _moves(design, effects, sex=0.0).item() == pytest.approx(-5.0, abs=0.4)
    assert _moves(design, effects, age_years=80.0).item() == pytest.approx(2.0, abs=0.2)


def test_slopes_that_are_chance_shrink_towards_nothing_and_strong_ones_stay() -> None:
    table = _attributes(29)
    design = Design.of(table, _noise(29, seed=2))
    age = design.names.index("age_years")
    chance = design.effects(_noise(29, 500))[age]
    strong = design.effects(-0.3 * table["age_years"][:, None] + _noise(29, 500))[age]
    error = 1.0 / (table["age_years"].std() * np.sqrt(29.0))
    assert np.sqrt(np.square(chance).mean()) < 0.85 * error
    assert (chance == 0.0).mean() > 0.2
    np.testing.assert_allclose(strong.mean(), -0.3, rtol=0.05)


def test_a_subject_left_out_has_no_say() -> None:
    design, measured = _design(), _noise(SUBJECTS, 3)
    other = measured.copy()
    other[[4, 5]] = 1e4
    left_out = design.without((4, 5))
    np.testing.assert_array_equal(left_out.effects(measured), left_out.effects(other))
    np.testing.assert_array_equal(
        left_out.bone_shape_effects(measured), left_out.bone_shape_effects(other)
    )
    assert not np.allclose(design.effects(measured), design.effects(other))


def test_leaving_out_nobody_of_the_cohort_changes_nothing() -> None:
    design, measured = _design(), _noise(SUBJECTS, 3)
    np.testing.assert_array_equal(design.without(()).effects(measured), design.effects(measured))


def test_places_stay_those_of_the_cohort_when_subjects_are_missing_before_them() -> None:
    table = _attributes()
    table["age_years"][:3] = np.nan
    design = Design.of(table, _noise(SUBJECTS))
    assert design.without((5,)).rows == (3, 4, *range(6, SUBJECTS))


def test_a_subject_without_an_attribute_has_no_say() -> None:
    table, measured = _attributes(), _noise(SUBJECTS, 3)
    table["age_years"][7] = np.nan
    design = Design.of(table, _noise(SUBJECTS))
    other = measured.copy()
    other[7] = 1e4
    assert 7 not in design.rows
    np.testing.assert_array_equal(design.effects(measured), design.effects(other))


def test_an_attribute_that_all_share_has_no_effect_and_the_others_theirs() -> None:
    table = _attributes()
    table["sex"][:] = 0.0
    design = Design.of(table, _noise(SUBJECTS))
    assert design.names == ("age_years", "weight_kg")
    effects = design.effects(-2.0 * table["age_years"][:, None])
    assert _moves(design, effects, age_years=80.0, sex=0.0).item() == pytest.approx(-40.0, abs=1.0)


@pytest.mark.parametrize("names", [("sex", "age_years"), ("weight_kg",)])
def test_a_cohort_may_know_some_attributes_only(names: tuple[str, ...]) -> None:
    design = Design.of({name: _attributes()[name] for name in names}, _noise(SUBJECTS))
    measured = _noise(SUBJECTS, 3)
    assert design.effects(measured).shape == (len(names), 3)
    assert design.bone_shape_effects(measured).shape == (len(names), 3)
    assert design.residual_sd(measured).shape == (3,)


def test_an_attribute_known_of_too_few_has_no_effect() -> None:
    table = _attributes()
    table["weight_kg"][FEWEST - 1 :] = np.nan
    assert Design.of(table, _noise(SUBJECTS)).names == ("sex", "age_years")


def test_nothing_asked_or_nothing_known_is_no_change() -> None:
    design = _design()
    before = {"sex": 1.0, "age_years": None, "weight_kg": 70.0}
    asked = {"sex": 1.0, "age_years": 80.0}
    assert (design.change(before, asked) == 0.0).all()


def test_weight_is_asked_by_its_ratio() -> None:
    design = _design()
    doubled = [design.change({"weight_kg": one}, {"weight_kg": 2.0 * one}) for one in (50.0, 70.0)]
    np.testing.assert_allclose(doubled[0], doubled[1])


def test_the_spread_among_equals_is_what_attributes_do_not_explain() -> None:
    table = _attributes(400)
    measured = (3.0 * table["age_years"] + 5.0 * _noise(400))[:, None]
    spread = Design.of(table, _noise(400, seed=3)).residual_sd(measured)
    assert spread.item() == pytest.approx(5.0, rel=0.1)
