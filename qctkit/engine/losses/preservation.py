"""Preservation terms: what a change costs, whatever it achieves."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from qctkit.contracts import Change

PRIOR_SPREAD: Mapping[str, float] = {"log_factor": 0.15, "shift_hu": 40.0, "change_hu": 40.0}
"""Spread of each parameter among people of one age and sex: density varies by about 15 % of its
mean (figures page of the project, recalled), which is 40 HU at a trabecular 250 HU."""


@dataclass(frozen=True)
class Size:
    """Mean squared parameter in units of its spread among people: half a Mahalanobis distance."""

    name: str = "size"

    def __call__(self, change: Change) -> Tensor:
        """Return the cost ``(N,)``."""
        terms = [
            (values / PRIOR_SPREAD[name]).square().flatten(1).mean(dim=1)
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
            (values / PRIOR_SPREAD[name]).diff(dim=axis).square().flatten(1).mean(dim=1)
            for name, values in change.parameters.items()
            for axis in (1, 2, 3)
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
        terms = [
            ((change.change_hu.diff(dim=axis).square() + 1.0).sqrt() - 1.0).flatten(1).mean(dim=1)
            for axis in (1, 2, 3)
        ]
        return sum(terms[1:], terms[0]) / 100.0
