"""The prior of an edit's parameters: how unusual a change is among people."""

from dataclasses import dataclass

import torch
from torch import Tensor

from qctkit.contracts import Change
from qctkit.engine.chi_square import usual_square

KNOT_CORRELATION = 0.5
"""Correlation of neighbouring knots among people; further apart it falls as a power of this [A]."""


@dataclass(frozen=True)
class Mahalanobis:
    """Squared Mahalanobis distance of all parameters from zero, over what 95 % of people stay in.

    Parameters are Gaussian with the edit's ``spreads``; neighbouring knots are correlated by 0.5
    along each axis, so that noise is less usual than a smooth change of the same size. Divided by
    the chi-square quantile, it is 1 where only one person in twenty differs by more.
    """

    name: str = "mahalanobis"
    default_weight: float = 0.25

    def __call__(self, change: Change) -> Tensor:
        """Return the cost ``(N,)``."""
        squares = [
            _white(values / change.edit.spreads[name]).square().flatten(1).sum(dim=1)
            for name, values in change.parameters.items()
        ]
        count = sum(values[0].numel() for values in change.parameters.values())
        distance = sum(squares, torch.zeros(len(change.before.hu)))
        return distance / usual_square(max(count, 1))


def _white(values: Tensor) -> Tensor:
    """Return independent values: along each axis of knots, less what the one before foretells."""
    for axis in (-3, -2, -1):
        knots = values.shape[axis]
        first, later = values.split([1, knots - 1], dim=axis)
        foretold = KNOT_CORRELATION * values.narrow(axis, 0, knots - 1)
        fresh = (later - foretold) / (1.0 - KNOT_CORRELATION**2) ** 0.5
        values = torch.cat([first, fresh], dim=axis)
    return values
