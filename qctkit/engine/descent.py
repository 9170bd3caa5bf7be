"""Adam on some samples' parameters: samples come and go, and none feels the others."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from qctkit.contracts import Pace

EPSILON = 1e-8
"""As Kingma and Ba (2015, arXiv 1412.6980) advise, and as PyTorch has it."""


class Descent:
    """The parameters of the samples that are worked on, and Adam's memory of each.

    Args:
        start: parameters of all samples, each ``(N, ...)``.
        step_sizes: of the free ones, in their units; the others stay as they are.
        pace: how steps go on.
        steps: steps that a sample takes at most.
    """

    def __init__(
        self, start: Mapping[str, Tensor], step_sizes: Mapping[str, float], pace: Pace, steps: int
    ) -> None:
        self._start = start
        self._step_sizes = step_sizes
        self._pace, self._steps = pace, steps
        self.parameters = {name: values[:0].clone() for name, values in start.items()}
        self._means = {name: self.parameters[name].clone() for name in step_sizes}
        self._squares = {name: self.parameters[name].clone() for name in step_sizes}
        self._taken: list[int] = []

    def regroup(self, kept: Sequence[int], new: Sequence[int]) -> None:
        """Go on with the samples at some places of now, and begin others, of these rows."""
        for name, values in self.parameters.items():
            first = self._start[name][list(new)]
            self.parameters[name] = torch.cat([values.detach()[list(kept)], first])
            self.parameters[name].requires_grad_(name in self._step_sizes)
            for memory in (self._means, self._squares):
                if name in memory:
                    memory[name] = torch.cat([memory[name][list(kept)], torch.zeros_like(first)])
        self._taken = [*(self._taken[place] for place in kept), *(0 for _ in new)]

    def step(self, loss: Tensor) -> None:
        """Take one step down the slope of a loss, in place."""
        free = [self.parameters[name] for name in self._step_sizes]
        slopes = torch.autograd.grad(loss, free, allow_unused=True)
        memory = self._pace.memory
        self._taken = [taken + 1 for taken in self._taken]
        for (name, size), slope in zip(self._step_sizes.items(), slopes, strict=True):
            if slope is None:
                continue
            mean, square = self._means[name], self._squares[name]
            remember(mean, square, slope, memory)
            for place, taken in enumerate(self._taken):
                rate = size * self._pace.share(taken - 1, self._steps)
                values = self.parameters[name].detach()[place]
                move(values, mean[place], square[place], rate, taken, memory)


def remember(mean: Tensor, square: Tensor, slope: Tensor, memory: tuple[float, float]) -> None:
    """Let Adam's mean and mean square follow a slope, in place."""
    first, second = memory
    mean.lerp_(slope, 1.0 - first)
    square.mul_(second).addcmul_(slope, slope, value=1.0 - second)


def move(
    values: Tensor,
    mean: Tensor,
    square: Tensor,
    rate: float,
    taken: int,
    memory: tuple[float, float],
) -> None:
    """Move values by Adam's step of a rate, in place; ``taken`` counts the step itself."""
    first, second = (1.0 - share**taken for share in memory)
    spread = square.sqrt().div_(math.sqrt(second)).add_(EPSILON)
    values.addcdiv_(mean, spread, value=-rate / first)
