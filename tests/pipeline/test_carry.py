from collections.abc import Callable

import pytest

from qctkit.contracts import Recipe
from qctkit.pipeline.carry import carrying
from qctkit.predictors.trained import PredictorSet
from qctkit.registry import load_registry


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load_registry().recipe("femur-density")


def _carried(recipe: Recipe, predictors: PredictorSet) -> set[str]:
    return {one.attribute for one in carrying(recipe, predictors) if one.carried}


def test_an_attribute_that_density_predicts_on_unseen_subjects_is_carried(
    recipe: Recipe, trained: Callable[..., PredictorSet]
) -> None:
    assert _carried(recipe, trained(r2_low=0.3)) == {"age_years", "weight_kg"}


def test_skill_that_chance_could_explain_carries_nothing(
    recipe: Recipe, trained: Callable[..., PredictorSet]
) -> None:
    assert _carried(recipe, trained(r2_low=0.05)) == set()


def test_what_no_reader_outside_the_loop_reads_is_not_carried(
    recipe: Recipe, trained: Callable[..., PredictorSet]
) -> None:
    outcomes = carrying(recipe, trained(reader_slope=0.0))
    assert not any(one.carried for one in outcomes)
    assert "no reader" in outcomes[1].words


def test_density_never_carries_sex(recipe: Recipe, trained: Callable[..., PredictorSet]) -> None:
    assert "cannot change it" in carrying(recipe, trained())[0].words
