"""The ``femur-density`` recipe: bone density only, geometry untouched."""

from collections.abc import Sequence

from qctkit.plugin import Recipe, hookimpl

QCTKIT_API = "1.0"


@hookimpl
def register_recipes() -> Sequence[Recipe]:
    """Return the recipe that ``--plugin femur-density`` selects."""
    return (
        Recipe(
            name="femur-density",
            account=(
                "changes the density of the femur; outline, soft tissue and every voxel further "
                "than 2 mm from the bone stay as they are"
            ),
            predictors=("physical-features",),
            edits=("cohort-density", "density-field"),
            preservation={"size": 0.05, "smoothness": 0.05},
            validators=("attributes", "structure", "density"),
            may_carry=("age_years", "weight_kg"),
            carried_by="bone-density",
            steps=15,
            from_atlas=True,
            follows_measures=True,
        ),
    )
