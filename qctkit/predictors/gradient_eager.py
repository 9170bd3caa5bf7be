"""Values and input gradients by PyTorch: the reference for every other way to compute them."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from qctkit.contracts import AttributeTerm, Gap
from qctkit.gradients import Array, Asked, Gradients


@dataclass(frozen=True, eq=False)
class EagerGradients:
    """Of a frozen module and an attribute term, in the precision of the images given.

    Attributes:
        module: images ``(N, 2, D, H, W)`` to readings ``(N, A)``; its weights need no gradient.
    """

    module: nn.Module
    attributes: tuple[str, ...]
    term: AttributeTerm

    @property
    def attribute_term(self) -> str:
        """Name of the term."""
        return self.term.name

    def __call__(self, images: Array, asked: Asked) -> Gradients:
        """Return losses, readings and gradients; see ``GradientSource``."""
        seen = torch.from_numpy(images).requires_grad_()
        readings = self.module(seen)
        wanted, weight, side = map(torch.from_numpy, told(asked))
        losses = asked_costs(readings, wanted, weight, side, self.term).sum(dim=1)
        (gradient,) = torch.autograd.grad(losses.sum(), seen)
        return Gradients(losses.detach().numpy(), readings.detach().numpy(), gradient.numpy())


def told(asked: Asked) -> tuple[Array, Array, Array]:
    """Return what is asked in the order of a gradient graph's inputs, behind the images."""
    return asked.wanted, asked.weight, asked.side


def asked_costs(
    readings: Tensor, wanted: Tensor, weight: Tensor, side: Tensor, term: AttributeTerm
) -> Tensor:
    """Return what each reading costs, ``(N, A)``; with a weight of 0, nothing."""
    asks = weight > 0.0
    typical_error = 1.0 / torch.where(asks, weight, 1.0)
    return torch.where(asks, term(Gap(readings, wanted, typical_error, side)), 0.0)


@contextmanager
def computing_in(dtype: torch.dtype) -> Iterator[None]:
    """Let tensors that a module makes as it runs have this type."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def frozen_copy(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Return a copy in eval mode of another precision, whose weights need no gradient."""
    return copy.deepcopy(module).eval().requires_grad_(False).to(dtype)
