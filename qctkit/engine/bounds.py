"""Weights found by constraint: what keeps a preservation term below its bound."""

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from qctkit.contracts import AtMost, LossTerm

Preservation: TypeAlias = Sequence[tuple[float | AtMost, LossTerm]]
"""Terms, each with its weight or with the bound that a weight is found for."""

STRENGTH = 1.0
"""How fast a multiplier follows, and how stiff the penalty is; costs are in units of the bound."""


class Bounds:
    """The multipliers of bounded terms, one for each sample of a batch.

    With g = cost / bound - 1, a term adds (max(0, l + r g)^2 - l^2) / (2 r) to the loss, and after
    each step l becomes max(0, l + r g): the augmented Lagrangian for inequalities (Bertsekas 1982,
    section 3.1), a step of its dual for each step of the edit. Nothing is drawn.

    Args:
        preservation: all terms; those with a weight are none of its business.
        samples: how many are optimised together.
    """

    def __init__(self, preservation: Preservation, samples: int) -> None:
        self._places = [n for n, (one, _) in enumerate(preservation) if isinstance(one, AtMost)]
        bounds = [one.cost for one, _ in preservation if isinstance(one, AtMost)]
        self._bounds = torch.tensor(bounds)[:, None]
        first = [getattr(preservation[n][1], "default_weight", 0.0) for n in self._places]
        self._multipliers = (torch.tensor(first)[:, None] * self._bounds).repeat(1, samples)

    def excess(self, costs: Sequence[Tensor], rows: Tensor) -> Tensor:
        """Return how far some samples are beyond their bounds at most, ``(N,)``; 0 within all."""
        if not self._places:
            return torch.zeros(len(rows))
        return self._beyond(costs).detach().amax(dim=0).clamp(min=0.0)

    def penalty(self, costs: Sequence[Tensor], rows: Tensor) -> Tensor:
        """Return what bounded terms add to the loss of some samples, ``(N,)``."""
        if not self._places:
            return torch.zeros(len(rows))
        held = self._multipliers[:, rows]
        pushed = (held + STRENGTH * self._beyond(costs)).clamp(min=0.0)
        return ((pushed.square() - held.square()) / (2.0 * STRENGTH)).sum(dim=0)

    def follow(self, costs: Sequence[Tensor], rows: Tensor) -> None:
        """Move the multipliers of some samples towards what keeps their bounds."""
        if self._places:
            pushed = self._multipliers[:, rows] + STRENGTH * self._beyond(costs).detach()
            self._multipliers[:, rows] = pushed.clamp(min=0.0)

    def _beyond(self, costs: Sequence[Tensor]) -> Tensor:
        """Return cost / bound - 1 of each bounded term and sample, ``(B, N)``."""
        return torch.stack([costs[n] for n in self._places]) / self._bounds - 1.0
