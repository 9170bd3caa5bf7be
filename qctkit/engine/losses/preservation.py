"""Preservation terms: what a change costs, whatever it achieves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
            values.square().flatten(1).mean(dim=1) / change.edit.spreads[name] ** 2
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
        cost: Tensor = _Variation.apply(change.after.hu - change.before.hu)[0]  # type: ignore[no-untyped-call]
        return cost / 100.0


class _Variation(torch.autograd.Function):
    """Sum over axes of the mean of ``sqrt(d^2 + 1) - 1``, d between neighbours; HU to ``(N,)``.

    Its slope, d / sqrt(d^2 + 1) for one neighbour and the opposite for the other, is taken on the
    way: autograd would keep five arrays for each axis.
    """

    @staticmethod
    def forward(hu: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cost ``(N,)`` and its slope ``(N, D, H, W)``."""
        cost, slope = hu.new_zeros(len(hu)), torch.zeros_like(hu)
        for axis in (1, 2, 3):
            steps = hu.diff(dim=axis)
            count = steps[0].numel()
            length = steps.square().add_(1.0).sqrt_()
            steps.div_(length).div_(count)
            cost += length.sub_(1.0).flatten(1).mean(dim=1)
            slope.narrow(axis, 1, steps.shape[axis]).add_(steps)
            slope.narrow(axis, 0, steps.shape[axis]).sub_(steps)
        return cost, slope

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:  # noqa: ARG004
        """Keep the slope."""
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])

    @staticmethod
    def backward(ctx: Any, cost_slope: Tensor, _: Tensor) -> Tensor:
        """Return the gradient with respect to the HU."""
        (slope,) = ctx.saved_tensors
        gradient: Tensor = cost_slope[:, None, None, None] * slope
        return gradient


def _sum(terms: Sequence[Tensor], change: Change) -> Tensor:
    """Return the sum of terms ``(N,)``; where no parameter is free there is none."""
    return sum(terms, torch.zeros(len(change.before.hu)))
