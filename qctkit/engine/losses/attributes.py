"""Attribute terms: what it costs that a predictor in the loop reads something else than wanted.

All are squared errors in units of the predictor's typical error where a reading is nearly right;
they differ in what lies beyond.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from qctkit.contracts import Gap


@dataclass(frozen=True)
class SquaredError:
    """Squared error, of logits and of amounts alike: an answer that is too sure costs as well."""

    name: str = "squared-error"

    def __call__(self, gap: Gap) -> Tensor:
        """Return the costs ``(N, C)``."""
        return gap.error.square()


@dataclass(frozen=True)
class ClassMargin:
    """Squared error of amounts; a class must be read at least as surely as wanted, no less.

    The squared hinge about the wanted logit: a reading beyond it, on the side of the class that is
    asked for, costs nothing.
    """

    name: str = "class-margin"

    def __call__(self, gap: Gap) -> Tensor:
        """Return the costs ``(N, C)``."""
        error = gap.error
        short = torch.relu(-gap.side * error)
        return torch.where(gap.side == 0.0, error, short).square()


@dataclass(frozen=True)
class UncertaintyWeighted:
    """Each attribute's error weighed by an uncertainty of its own, found with the edit.

    Kendall, Gal and Cipolla (2018): e^2 / s^2 + log s^2 at the s that is best, with s at least the
    typical error, the unit of e. That is e^2 up to 1 and 1 + log e^2 beyond, so that an attribute
    which cannot be reached does not drown the others.
    """

    name: str = "uncertainty-weighted"

    def __call__(self, gap: Gap) -> Tensor:
        """Return the costs ``(N, C)``."""
        squared = gap.error.square()
        return torch.where(squared <= 1.0, squared, 1.0 + squared.clamp(min=1.0).log())
