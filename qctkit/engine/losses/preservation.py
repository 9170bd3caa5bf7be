"""Preservation terms: what a change costs, whatever it achieves."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qctkit.contracts import Change


@dataclass(frozen=True)
class Size:
    """Mean squared parameter in units of its spread among people: half a Mahalanobis distance."""

    name: str = "size"
    default_weight: float = 0.05

    def __call__(self, change: Change) -> Tensor:
        """Return the cost ``(N,)``."""
        terms = [
            (values / change.edit.spreads[name]).square().flatten(1).mean(dim=1)
            for name, values in change.parameters.items()
        ]
        return _sum(terms, change)


@dataclass(frozen=True)
class Smoothness:
    """Mean squared difference between neighbouring parameters, in units of their spread."""

    name: str = "smoothness"
    default_weight: float = 0.05

    def __call__(self, change: Change) -> Tensor:
        """Return the cost ``(N,)``."""
        terms = [
            (values / change.edit.spreads[name]).diff(dim=axis).square().flatten(1).mean(dim=1)
            for name, values in change.parameters.items()
            for axis in (-3, -2, -1)
            if values.shape[axis] > 1
        ]
        return _sum(terms, change)


@dataclass(frozen=True)
class Bending:
    """Mean squared second difference of parameters along each axis, in units of their spread.

    A shift, a stretch or a shear costs nothing: only what bends does. A weight of 0.05 asks bends
    to be paid for as much as changes of size at 0.05.
    """

    name: str = "bending"
    default_weight: float = 0.05

    def __call__(self, change: Change) -> Tensor:
        """Return the cost ``(N,)``."""
        terms = [
            (values / change.edit.spreads[name])
            .diff(n=2, dim=axis)
            .square()
            .sum(dim=tuple(range(1, values.ndim)))
            / values[0].numel()
            for name, values in change.parameters.items()
            for axis in (-3, -2, -1)
        ]
        return _sum(terms, change)


@dataclass(frozen=True)
class TotalVariation:
    """Mean absolute difference between neighbouring voxels of the change, per 100 HU.

    Smoothed at 1 HU so that its gradient is finite at the identity.
    """

    name: str = "total-variation"
    default_weight: float = 1.0

    def __call__(self, change: Change) -> Tensor:
        """Return the cost ``(N,)``."""
        added = change.after.hu - change.before.hu
        terms = [
            ((added.diff(dim=axis).square() + 1.0).sqrt() - 1.0).flatten(1).mean(dim=1)
            for axis in (1, 2, 3)
        ]
        return _sum(terms, change) / 100.0


def _sum(terms: Sequence[Tensor], change: Change) -> Tensor:
    """Return the sum of terms ``(N,)``; where no parameter is free there is none."""
    return sum(terms, torch.zeros(len(change.before.hu)))
