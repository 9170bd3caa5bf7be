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
        first, second = self._pace.memory
        self._taken = [taken + 1 for taken in self._taken]
        for (name, size), slope in zip(self._step_sizes.items(), slopes, strict=True):
            if slope is None:
                continue
            mean, square = self._means[name], self._squares[name]
            mean.lerp_(slope, 1.0 - first)
            square.mul_(second).addcmul_(slope, slope, value=1.0 - second)
            for place, taken in enumerate(self._taken):
                rate = size * self._pace.share(taken - 1, self._steps) / (1.0 - first**taken)
                spread = square[place].sqrt().div_(math.sqrt(1.0 - second**taken)).add_(EPSILON)
                with torch.no_grad():
                    self.parameters[name][place].addcdiv_(mean[place], spread, value=-rate)
