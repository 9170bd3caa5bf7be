"""Small hips with soft edges on a coarse view: a ball on a tube within muscle and fat."""

import torch
from torch import Tensor

from qctkit.view import View, spacing_of

VIEW = View((12, 10, 11), spacing_of(7.0))

POSITIONS_MM = torch.from_numpy(VIEW.positions_mm).float()


def hip(
    *,
    size: float = 1.0,
    bone_hu: float = 300.0,
    muscle_mm: float = 24.0,
    moved_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
    tilt: float = 0.0,
) -> Tensor:
    """Return HU and the femur's share, ``(2, D, H, W)``.

    Args:
        size: of the femur, as a ratio.
        bone_hu: density of the femur.
        muscle_mm: from the axis of the shaft to the fat.
        moved_mm: where all lies, along superior, anterior, medial.
        tilt: mm towards medial for each mm up.
    """
    there = POSITIONS_MM - torch.tensor(moved_mm)
    there = torch.stack(
        [there[..., 0], there[..., 1], there[..., 2] - tilt * there[..., 0]], dim=-1
    )
    from_axis = there[..., 1:].norm(dim=-1)
    ball = (there - size * torch.tensor([14.0, 0.0, 6.0])).norm(dim=-1) - 15.0 * size
    tube = torch.maximum(from_axis - 9.0 * size, there[..., 0] - 14.0 * size)
    femur = _inside(torch.minimum(ball, tube))
    lean = _inside(from_axis - muscle_mm)
    soft = -100.0 + 150.0 * lean
    return torch.stack([soft + (bone_hu - soft) * femur, femur])


def _inside(outside_mm: Tensor) -> Tensor:
    return torch.sigmoid(-outside_mm / 2.0)
