"""How far off a reading may be: a standard deviation of its own for each subject.

``s(x) = c sqrt(g(x) (1 + h(x)))``: h is the leverage of the subject's features among the subjects
learned from, which Bayesian linear regression adds to the variance (Bishop 2006, section 3.3.2); g
is the weight read, for weight, and 1 for age; c makes it honest on subjects held out.
docs/predictors.md shows what this is worth on unseen subjects, and what was left out.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from qctkit.contracts import TrainingData
from qctkit.subject import ATTRIBUTES, WEIGHT

Array = NDArray[np.float64]

PRIOR_SUBJECTS = 30.0
"""Subjects' worth of belief that features do not matter: fifty features of 29 subjects would
otherwise call everyone new far from all."""

FAR = 5.0
"""Standardised features are bent towards this bound, so that a spread stays finite."""

LEAST_KG = 1.0

PREFIX = "spread/"
"""Of a spread's tensors in the file of its predictor's weights."""


@runtime_checkable
class FeatureReader(Protocol):
    """A module that reads features: ``forward(image)`` is ``read(measure(image))``.

    ``shape_columns`` are the features of the femur's outer shape.
    """

    @property
    def shape_columns(self) -> tuple[int, ...]:
        """Which features are of the femur's outer shape."""
        ...

    def measure(self, image: Tensor) -> Tensor:
        """Return features ``(N, F)`` of images ``(N, 2, D, H, W)``."""
        ...

    def read(self, features: Tensor) -> Tensor:
        """Return estimates ``(N, A)``."""
        ...


class Measuring(nn.Module):
    """A reader's measures ``(N, F)`` where estimates are expected."""

    def __init__(self, reader: FeatureReader) -> None:
        super().__init__()
        self.reader = reader

    def forward(self, image: Tensor) -> Tensor:
        """Return the measures of images ``(N, 2, D, H, W)``."""
        return self.reader.measure(image)


class Leverage(nn.Module):
    """How far features ``(N, F)`` lie from those learned from, ``(N,)``: 1 / n in their midst."""

    centre: Tensor
    scale: Tensor
    precision: Tensor
    least: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.register_buffer("precision", torch.zeros(features, features))
        self.register_buffer("least", torch.zeros(()))

    def learn(self, features: Tensor) -> None:
        """Take the features ``(n, F)`` of the subjects that were learned from."""
        self.centre.copy_(features.mean(dim=0))
        self.scale.copy_(features.std(dim=0, correction=0).clamp(min=1e-6))
        self.least.fill_(1.0 / len(features))
        standard = self._standard(features).double()
        gram = standard.T @ standard + PRIOR_SUBJECTS * torch.eye(features.shape[1]).double()
        self.precision.copy_(torch.linalg.inv(gram))

    def forward(self, features: Tensor) -> Tensor:
        """Return the leverages ``(N,)``."""
        standard = self._standard(features)
        return self.least + ((standard @ self.precision) * standard).sum(dim=1)

    def _standard(self, features: Tensor) -> Tensor:
        return FAR * torch.tanh((features - self.centre) / self.scale / FAR)


class Spread(nn.Module):
    """Estimates ``(N, A)`` and features to standard deviations ``(N, C)`` in years and kg.

    Columns are the continuous attributes, in the predictor's order.

    Args:
        attributes: of the predictor, one of them continuous at least.
        features: how many it reads; 0 for a network, whose spread knows no leverage.
    """

    factors: Tensor
    grows: Tensor

    def __init__(self, attributes: Sequence[str], features: int) -> None:
        super().__init__()
        self._columns = [attributes.index(name) for name in continuous(attributes)]
        grows = torch.tensor([name == WEIGHT.name for name in continuous(attributes)])
        self.register_buffer("grows", grows, persistent=False)
        self.leverage = Leverage(features) if features else None
        self.register_buffer("factors", torch.zeros(len(self._columns)))

    def forward(self, estimates: Tensor, features: Tensor | None) -> Tensor:
        """Return the standard deviations ``(N, C)``."""
        read = estimates[:, self._columns]
        growth = torch.where(self.grows, read.clamp(min=LEAST_KG), torch.ones_like(read))
        if self.leverage is not None and features is not None:
            growth = growth * (1.0 + self.leverage(features))[:, None]
        return self.factors * torch.sqrt(growth)


class WithSpread(nn.Module):
    """A predictor that answers with its spreads beside its estimates, ``(N, A + C)``."""

    def __init__(self, module: nn.Module, spread: Spread) -> None:
        super().__init__()
        self.module = module
        self.spread = spread

    def forward(self, image: Tensor) -> Tensor:
        """Return estimates, then the standard deviations of the continuous ones."""
        if isinstance(self.module, FeatureReader):
            features = self.module.measure(image)
            estimates = self.module.read(features)
            return torch.cat([estimates, self.spread(estimates, features)], dim=1)
        estimates = self.module(image)
        return torch.cat([estimates, self.spread(estimates, None)], dim=1)


def continuous(attributes: Sequence[str]) -> list[str]:
    """Return the attributes that have a spread; a binary one has a probability."""
    return [name for name in attributes if ATTRIBUTES[name].kind == "continuous"]


def measured(reader: FeatureReader, data: TrainingData) -> Tensor:
    """Return the features ``(N, F)`` of subjects, one image at a time."""
    with torch.no_grad():
        return torch.cat([reader.measure(image) for image in data.singly()])


def leverages(
    module: nn.Module, data: TrainingData, learned: Sequence[int], unseen: Sequence[int]
) -> Array:
    """Return the leverage ``(N,)`` of unseen subjects among those a module learned from; else 0."""
    if not isinstance(module, FeatureReader):
        return np.zeros(len(unseen))
    among, beyond = (measured(module, data.take(rows)) for rows in (learned, unseen))
    leverage = Leverage(among.shape[1])
    leverage.learn(among)
    return np.asarray(leverage(beyond).double().numpy())


def variance_shape(name: str, read: Array, leverage: Array) -> Array:
    """Return the variance ``(N,)`` of readings but for its factor, ``g (1 + h)``."""
    growth = np.maximum(read, LEAST_KG) if name == WEIGHT.name else np.ones(len(read))
    return np.asarray(growth * (1.0 + leverage))


def honest_factor(true: Array, read: Array, shape: Array) -> float:
    """Return the factor c of the spread, from readings ``(N,)`` of subjects held out.

    Squared errors are divided by n - 2, not n: the factor is itself an estimate, and Student's t
    with n degrees of freedom has the variance n / (n - 2).
    """
    known = ~np.isnan(true)
    squares = (read - true)[known] ** 2 / shape[known]
    return float(np.sqrt(squares.sum() / max(len(squares) - 2, 1)))


def held_out_spreads(true: Array, read: Array, shape: Array, groups: Sequence[str]) -> Array:
    """Return each subject's spread with the factor that the other subjects give, ``(N,)``."""
    names = np.asarray(groups)
    spreads = np.empty(len(true))
    for name in dict.fromkeys(groups):
        out = names == name
        factor = honest_factor(np.where(out, np.nan, true), read, shape)
        spreads[out] = factor * np.sqrt(shape[out])
    return spreads
