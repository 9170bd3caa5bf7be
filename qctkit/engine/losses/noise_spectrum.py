"""A term that keeps the texture of even tissue: no pattern is drawn into it, none wiped away."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from qctkit.contracts import Change
from qctkit.engine.registration import smoothed

BANDS_VOXELS = (0.6, 1.0, 1.7)
"""Standard deviations of Gaussians whose differences are the bands, in voxels of the view: detail
finer than the first, between the first and the second, and between the second and the third."""

EVEN_HU = 30.0
"""Local spread at which tissue counts 0.6 as much as where it is even: edges have hundreds."""

AIR_HU = -300.0
LEAST_HU = 1.0
"""Texture below this is none."""

TOLERANCE = math.log(1.1)
"""A band's power may differ by 10 %, as in the validator ``noise-texture``."""


@dataclass(frozen=True)
class NoiseSpectrum:
    """Mean squared log ratio of each band's power in even tissue, in units of 10 %.

    Power counts where the source is even, in bone and in soft tissue, so that edges have no say.
    It is the texture that the view shows, of 3 mm and coarser: what a free edit hides its patterns
    in. The scanner's own grain is finer, and the validator ``noise-texture`` looks at it. Made for
    edits that leave tissue in its place: a view interpolates what moves, and that costs.
    """

    name: str = "noise-spectrum"
    default_weight: float = 0.01

    def __call__(self, change: Change) -> Tensor:
        """Return the cost ``(N,)``."""
        before, after = change.before.hu[:, None], change.after.hu[:, None]
        even = _evenness(before)
        ratios = [
            (_power(new, even) / _power(old, even)).log() / TOLERANCE
            for old, new in zip(_bands(before), _bands(after), strict=True)
        ]
        return torch.stack(ratios).square().mean(dim=0)


def _evenness(hu: Tensor) -> Tensor:
    """Return how much each voxel ``(N, 1, D, H, W)`` counts: 1 in even tissue, 0 at edges."""
    widest = BANDS_VOXELS[-1]
    mean = smoothed(hu, widest)
    variance = smoothed((hu - mean).square(), widest)
    return torch.exp(-0.5 * variance / EVEN_HU**2) * (hu > AIR_HU)


def _bands(hu: Tensor) -> Iterator[Tensor]:
    """Yield what HU ``(N, 1, D, H, W)`` hold in each band, the finest first."""
    finer = hu
    for voxels in BANDS_VOXELS:
        coarser = smoothed(hu, voxels)
        yield finer - coarser
        finer = coarser


def _power(band: Tensor, weight: Tensor) -> Tensor:
    """Return the mean power ``(N,)``, HU squared."""
    total = (weight * band.square()).sum(dim=(1, 2, 3, 4))
    return total / weight.sum(dim=(1, 2, 3, 4)).clamp(min=1.0) + LEAST_HU**2
