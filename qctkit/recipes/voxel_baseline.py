"""``voxel-baseline``: the source study's algorithm, kept to show what it does not do."""

from qctkit.contracts import Recipe


def voxel_baseline() -> Recipe:
    """Return the baseline: every attribute drives it, none is carried, labels stay the source's."""
    return Recipe(
        name="voxel-baseline",
        account=(
            "BASELINE: one free value per voxel, as in the source study. What it changes is not "
            "what a real change would, so every label stays the source's"
        ),
        predictors=("sex-network", "age-weight-network"),
        edits=("voxel",),
        preservation={"size": 0.01, "total-variation": 1.0},
        validators=("structure", "density"),
        may_carry=(),
        carried_by="bone-density",
        drives_all=True,
    )
