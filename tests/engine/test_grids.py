"""The view as a grid: what moves on it keeps its edges."""

import math

import torch
from torch import Tensor

from qctkit.contracts import Scene
from qctkit.engine.scenes import view_scene
from tests.engine.hips import VIEW, hip


def _waves(moved_mm: float) -> Tensor:
    """Return waves of 28 mm along the medial axis, ``(*VIEW.shape)`` HU."""
    medial = torch.from_numpy(VIEW.positions_mm[..., 2]).float()
    return 500.0 * torch.sin(2.0 * math.pi * (medial + moved_mm) / 28.0)


def _scene() -> Scene:
    image = hip()
    image[0] = _waves(0.0)
    return view_scene(image[None], VIEW)


def _moved(scene: Scene, mm: Tensor) -> Tensor:
    """Return the HU of a scene that shows at each place what lay ``mm`` medially of it."""
    step = torch.stack([torch.zeros(()), torch.zeros(()), mm])
    return scene.displaced(lambda positions_mm: step.expand(1, *positions_mm.shape[1:])).hu


def test_a_given_move_of_half_a_voxel_blurs_far_less_than_linear_interpolation_would() -> None:
    half = VIEW.spacing_mm[2] / 2.0
    inner = (0, ..., slice(4, -4))
    found = _moved(_scene(), torch.tensor(half))[inner]
    linear = 0.5 * (_waves(0.0) + _waves(2.0 * half))[None][inner]
    exact = _waves(half)[None][inner]
    assert (found - exact).abs().mean() < 0.2 * (linear - exact).abs().mean()


def test_a_move_that_is_looked_for_has_the_gradient_of_linear_interpolation() -> None:
    scene = _scene()
    mm = torch.tensor(0.3, requires_grad=True)
    (found,) = torch.autograd.grad(_moved(scene, mm)[..., 4:-4].sum(), mm)
    here, there = (_waves(shift)[..., 4:-4].sum() for shift in (0.0, VIEW.spacing_mm[2]))
    torch.testing.assert_close(found, (there - here) / VIEW.spacing_mm[2], rtol=1e-3, atol=1.0)
