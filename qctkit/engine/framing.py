"""The frame that a moved femur is seen in: its own, as of every other femur."""

import torch
from torch import Tensor

from qctkit.contracts import Scene
from qctkit.frame import PROXIMAL_LENGTH_MM


def reframed(before: Scene, after: Scene) -> Scene:
    """Return a view of a moved femur in the moved femur's frame.

    Predictors see every femur about the centroid of its proximal 100 mm, the moved one too: a
    shift of the whole changes nothing that they read. Height is counted from the top of the femur
    before the edit.
    """
    top_mm = _top_mm(before)
    shift_mm = _centre_mm(after, top_mm) - _centre_mm(before, top_mm)
    everywhere = shift_mm[:, None, None, None, :]
    return after.displaced(lambda positions_mm: everywhere.expand(-1, *positions_mm.shape[1:]))


def _top_mm(scene: Scene) -> Tensor:
    """Return the height of the highest voxel that is mostly femur, ``(N,)``."""
    height_mm = scene.positions_mm[..., 0]
    inside = scene.femur > 0.5
    return torch.where(inside, height_mm, -torch.inf).flatten(1).amax(dim=1)


def _centre_mm(scene: Scene, top_mm: Tensor) -> Tensor:
    """Return the centroid of the femur's proximal part, ``(N, 3)``."""
    proximal = scene.positions_mm[..., 0] > (top_mm - PROXIMAL_LENGTH_MM)[:, None, None, None]
    weight = (scene.femur * proximal)[..., None]
    return (weight * scene.positions_mm).sum(dim=(1, 2, 3)) / weight.sum(dim=(1, 2, 3))
