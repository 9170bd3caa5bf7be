"""Preservation terms: what a change costs, whatever it achieves."""

from dataclasses import dataclass

from torch import Tensor

from qctkit.contracts import Change


@dataclass(frozen=True)
class Size:
    """Mean squared parameter in units of its spread among people: half a Mahalanobis distance."""

    name: str = "size"

    def __call__(self, change: Change) -> Tensor:
        """Return the cost ``(N,)``."""
        terms = [
            (values / change.edit.spreads[name]).square().flatten(1).mean(dim=1)
            for name, values in change.parameters.items()
        ]
        return sum(terms[1:], terms[0])


@dataclass(frozen=True)
class Smoothness:
    """Mean squared difference between neighbouring parameters, in units of their spread."""

    name: str = "smoothness"

    def __call__(self, change: Change) -> Tensor:
        """Return the cost ``(N,)``."""
        terms = [
            (values / change.edit.spreads[name]).diff(dim=axis).square().flatten(1).mean(dim=1)
            for name, values in change.parameters.items()
            for axis in (-3, -2, -1)
        ]
        return sum(terms[1:], terms[0])


@dataclass(frozen=True)
class Bending:
    """Mean squared second difference of parameters along each axis, in units of their spread.

    A shift, a stretch or a shear costs nothing: only what bends does. A weight of 0.05 asks bends
    to be paid for as much as changes of size at 0.05.
    """

    name: str = "bending"

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
        return sum(terms[1:], terms[0])


@dataclass(frozen=True)
class TotalVariation:
    """Mean absolute difference between neighbouring voxels of the change, per 100 HU.

    Smoothed at 1 HU so that its gradient is finite at the identity.
    """

    name: str = "total-variation"

    def __call__(self, change: Change) -> Tensor:
        """Return the cost ``(N,)``."""
        added = change.after.hu - change.before.hu
        terms = [
            ((added.diff(dim=axis).square() + 1.0).sqrt() - 1.0).flatten(1).mean(dim=1)
            for axis in (1, 2, 3)
        ]
        return sum(terms[1:], terms[0]) / 100.0
