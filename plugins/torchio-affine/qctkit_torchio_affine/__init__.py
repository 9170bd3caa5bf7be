"""Plain augmentation by a random affine map of TorchIO, as a recipe to compare others with."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qctkit.plugin import Recipe, hookimpl

if TYPE_CHECKING:
    from qctkit.plugin import Transform

QCTKIT_API = "1.0"


@hookimpl
def register_transforms() -> "Sequence[Transform]":
    """Return the transform; TorchIO waits until it is applied."""
    from qctkit_torchio_affine.transform import TorchioAffine

    return (TorchioAffine(),)


@hookimpl
def register_recipes() -> Sequence[Recipe]:
    """Return the recipe that ``--plugin torchio-affine`` selects."""
    return (
        Recipe(
            name="torchio-affine",
            account="BASELINE: turns, stretches and shrinks the whole scan a little at random, as "
            "plain augmentation does; every label stays the source's",
            transform="torchio-affine",
            validators=("structure", "density"),
        ),
    )
