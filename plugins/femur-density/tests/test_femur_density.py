import pytest
from qctkit_femur_density import register_recipes

from qctkit.plugin import Recipe, Role
from qctkit.registry import Registry, load_registry


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    (one,) = register_recipes()
    return one


def test_every_component_it_names_is_registered(registry: Registry, recipe: Recipe) -> None:
    for name in recipe.edits:
        registry.edit(name)
    for name in recipe.predictors:
        registry.family(name)
    for name in recipe.preservation:
        registry.loss(name)
    for name in recipe.validators:
        registry.validator(name)


def test_no_predictor_that_drives_the_loop_is_a_reader(registry: Registry, recipe: Recipe) -> None:
    assert {registry.family(name).role for name in recipe.predictors} == {Role.LOOP}


def test_what_it_may_carry_is_read_in_the_loop_and_outside_it(
    registry: Registry, recipe: Recipe
) -> None:
    inside = {a for name in recipe.predictors for a in registry.family(name).attributes}
    readers = [one for one in registry.families() if one.role is Role.READER]
    outside = {a for one in readers for a in one.attributes}
    assert set(recipe.may_carry) <= inside & outside
    assert "sex" not in recipe.may_carry
    assert set(recipe.may_carry) <= set(registry.family(recipe.carried_by).attributes)


def test_every_candidate_must_pass_attributes_structure_and_density(recipe: Recipe) -> None:
    assert {"attributes", "structure", "density"} <= set(recipe.validators)
    assert not recipe.drives_all
