"""Terms that ask whether the femur still shows the same structure, place by place.

Both compare what lies at one place before and after, weighed by the femur's share before. A femur
that moves or changes its shape costs too: they are made for edits that leave it where it is.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from qctkit.contracts import Change
from qctkit.engine.registration import smoothed

WINDOW_VOXELS = 1.5
"""Standard deviation of the Gaussian window (Wang et al. 2004), in voxels of the view."""

AIR_HU = -1000.0
RANGE_HU = 2600.0
"""From air to dense cortex, the default window: SSIM is defined for values from 0 upwards."""

EVEN_HU = (0.01 * RANGE_HU, 0.03 * RANGE_HU)
"""Means and spreads below which differences fade out: K1 = 0.01, K2 = 0.03 (Wang et al. 2004)."""

FLAT_HU_MM = 10.0
"""Slopes of HU below this are noise: 10 HU from voxel to voxel of 3 mm is 3 HU a mm [A]."""


@dataclass(frozen=True)
class StructureSimilarity:
    """1 minus the mean structural similarity in the femur (3D SSIM, Wang et al. 2004).

    With local means m, variances v and the covariance c of HU above air before and after,
    SSIM = (2 m m' + C1) / (m^2 + m'^2 + C1) (2 c + C2) / (v + v' + C2). Asking for a similarity
    of at least 0.98 is a bound of 0.02.
    """

    name: str = "structure-similarity"
    default_weight: float = 10.0

    def __call__(self, change: Change) -> Tensor:
        """Return the cost ``(N,)``."""
        before, after = (scene.hu[:, None] - AIR_HU for scene in (change.before, change.after))
        mean, mean_after, apart = (_local(one) for one in (before, after, after - before))
        spreads = _variance(before, mean) + _variance(after, mean_after)
        # In this form each part is 0 at the identity to the last bit, and never below.
        luminance = (mean_after - mean).square() / (
            mean.square() + mean_after.square() + EVEN_HU[0] ** 2
        )
        structure = _variance(after - before, apart) / (spreads + EVEN_HU[1] ** 2)
        return _in_femur(luminance + structure * (1.0 - luminance), change)


@dataclass(frozen=True)
class GradientSimilarity:
    """1 minus the mean similarity of the slopes g of HU in the femur, before and after.

    Similarity is (2 g . g' + C) / (g^2 + g'^2 + C), after the gradient similarity of Liu et al.
    (2012) but of the whole vector: an edge that turns costs as one that fades.
    """

    name: str = "gradient-similarity"
    default_weight: float = 5.0

    def __call__(self, change: Change) -> Tensor:
        """Return the cost ``(N,)``."""
        before, after = (_slopes(scene.hu, change) for scene in (change.before, change.after))
        apart = (after - before).square().sum(dim=1, keepdim=True)
        size = (after.square() + before.square()).sum(dim=1, keepdim=True)
        return _in_femur(apart / (size + FLAT_HU_MM**2), change)


def _local(values: Tensor) -> Tensor:
    return smoothed(values, WINDOW_VOXELS)


def _variance(values: Tensor, mean: Tensor) -> Tensor:
    # Rounding may leave a little less than nothing.
    return (_local(values.square()) - mean.square()).clamp(min=0.0)


def _slopes(hu: Tensor, change: Change) -> Tensor:
    """Return the slopes ``(N, 3, D, H, W)`` of HU along the view's axes, HU a mm."""
    spacing = list(change.before.view.spacing_mm)
    return torch.stack(torch.gradient(hu, spacing=spacing, dim=(1, 2, 3)), dim=1)


def _in_femur(values: Tensor, change: Change) -> Tensor:
    """Return the mean ``(N,)`` of values ``(N, 1, D, H, W)`` over the femur before the change."""
    femur = change.before.femur
    total = (values[:, 0] * femur).sum(dim=(1, 2, 3))
    return total / femur.sum(dim=(1, 2, 3)).clamp(min=1.0)
