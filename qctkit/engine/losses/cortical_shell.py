"""A term that keeps the cortical shell: it may move with its bone, not thin or fade."""

from dataclasses import dataclass

from torch import Tensor

from qctkit.contracts import Change, Scene
from qctkit.engine.registration import smoothed

SHELL_MM = 6.0
"""A cortex of up to 4 mm and the blur to its inner side."""

REGION_VOXELS = 2.0
"""Standard deviation of the Gaussian that makes the shell's mean regional, in voxels of the view:
a neck is about two of them wide to each side."""

LEAST_HU = 100.0
"""Mean of the shell below which relative changes mean nothing."""

SPREAD = 0.15
"""Bone density varies by about 15 % of its mean among people of one age and sex (as for the edit
``density-field``)."""


@dataclass(frozen=True)
class CorticalShell:
    """Mean squared relative change of the shell's regional mean HU, in units of its spread (15 %).

    The shell is the femur's outer 6 mm, before and after where the edit has moved it: what moves
    costs little, what thins or fades costs 1 where it does so by 15 %.
    """

    name: str = "cortical-shell"
    default_weight: float = 0.2

    def __call__(self, change: Change) -> Tensor:
        """Return the cost ``(N,)``."""
        shell = _shell(change.before)
        before, after = _regional_hu(change.before), _regional_hu(change.after)
        relative = (after - before) / (SPREAD * before.clamp(min=LEAST_HU))
        total = (shell * relative.square()).sum(dim=(1, 2, 3))
        return total / shell.sum(dim=(1, 2, 3)).clamp(min=1.0)


def _shell(scene: Scene) -> Tensor:
    """Return the weight ``(N, D, H, W)`` of the femur's outer layer: 1 at its surface, 0 inside."""
    return scene.femur * (1.0 - scene.depth_mm / SHELL_MM).clamp(0.0, 1.0)


def _regional_hu(scene: Scene) -> Tensor:
    """Return the shell's mean HU about each voxel, ``(N, D, H, W)``."""
    shell = _shell(scene)[:, None]
    mass = smoothed(shell * scene.hu[:, None], REGION_VOXELS)
    return (mass / (smoothed(shell, REGION_VOXELS) + 1e-3))[:, 0]
