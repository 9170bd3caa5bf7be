"""``femur-morph``: density, shape and soft tissue together, as the cohort shows they go."""

from qctkit.contracts import Recipe


def femur_morph() -> Recipe:
    """Return the recipe that may carry sex, age and weight.

    It starts from the cohort's atlas; the loop then moves density and fat, low-dimensional and
    smooth, until every physical measure is where the cohort says that it should be.
    """
    return Recipe(
        name="femur-morph",
        account=(
            "changes density, shape and soft tissue together, by what the cohort shows of sex, age "
            "and weight; the map is smooth and can be inverted, noise stays the scanner's"
        ),
        predictors=("physical-features",),
        edits=("cohort-tissue", "density-field", "soft-tissue", "cohort-shape"),
        preservation={"size": 0.05, "smoothness": 0.05},
        validators=("attributes", "structure", "density", "noise-texture"),
        may_carry=("sex", "age_years", "weight_kg"),
        carried_by="physical-features",
        steps=15,
        from_atlas=True,
        held=("soft-tissue.velocity_mm",),
        follows_measures=True,
    )
