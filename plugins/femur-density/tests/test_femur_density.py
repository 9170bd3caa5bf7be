from qctkit_femur_density import register_recipes

from qctkit.plugin import Recipe
from qctkit.testing import RecipeContract, installed


def recipe() -> Recipe:
    (one,) = register_recipes()
    return one


class TestFemurDensity(RecipeContract):
    component = recipe()


def test_it_is_found_by_its_entry_point() -> None:
    assert installed("recipes", "femur-density") == recipe()


def test_sex_is_never_carried_by_density() -> None:
    assert "sex" not in recipe().may_carry


def test_every_candidate_must_pass_attributes_structure_and_density() -> None:
    assert {"attributes", "structure", "density"} <= set(recipe().validators)
    assert not recipe().drives_all
