"""Scenes to check edits and loss terms on: three simple femurs as a predictor's view shows them."""

from collections.abc import Mapping
from functools import lru_cache

import torch
from torch import Tensor

from qctkit.contracts import Edit, Scene
from qctkit.engine.scenes import view_scene
from qctkit.frame import locate
from qctkit.predictors.training import as_tensor
from qctkit.testing.femurs import make_people
from qctkit.view import View, see, spacing_of

VIEW = View((20, 16, 16), spacing_of(6.0))
"""Coarse, so that a check takes milliseconds."""

BATCH = 3

STEPS = 5.0
"""First steps by which random parameters lie from zero."""


@lru_cache(maxsize=1)
def make_scene() -> Scene:
    """Return the scene of three femurs on a grid of ``(20, 16, 16)`` points of 6 mm."""
    images = []
    for one in make_people(BATCH):
        frame = locate(one.femur, one.volume.geometry)
        images.append(as_tensor(see(one.volume, one.femur, frame, VIEW)))
    return view_scene(torch.stack(images), VIEW)


def random_parameters(edit: Edit, seed: int = 0) -> dict[str, Tensor]:
    """Return parameters of an edit some steps from zero, for a scene of three."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: _size(edit, name) * torch.randn(zeros.shape, generator=generator)
        for name, zeros in edit.start(BATCH, VIEW).items()
    }


def _size(edit: Edit, name: str) -> float:
    """Return some first steps of a parameter; half its spread where the loop leaves it alone."""
    return STEPS * edit.step_sizes[name] or edit.spreads[name] / 2


def row(parameters: Mapping[str, Tensor], number: int) -> dict[str, Tensor]:
    """Return the parameters of one of a batch, as a batch of one."""
    return {name: values[number : number + 1] for name, values in parameters.items()}
