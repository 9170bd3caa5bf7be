"""``femur-density`` without its atlas: the loop alone, for tests of what is about it."""

from dataclasses import replace

from qctkit.registry import load_registry

DENSITY_LOOP = replace(
    load_registry().recipe("femur-density"),
    predictors=("bone-density",),
    edits=("density-field",),
    from_atlas=False,
    follows_measures=False,
    steps=150,
)
