"""A joint Gaussian model of features and attributes, and what it reads off new features.

Features are regressed *on* the attributes (the direction in which the body makes them), with what
is left over as correlated noise; reading inverts that by Bayes' rule. All three attributes explain
each feature together, so that fat at a given weight can speak of sex, which regressions of one
attribute at a time cannot learn from few subjects.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from qctkit.subject import ATTRIBUTES, SEX, WEIGHT

Array = NDArray[np.float64]

FAR = 5.0
"""Standardised features are bent towards this bound, so that none alone decides."""

ATTRIBUTE_PENALTY = 0.5
"""Subjects' worth of shrinkage of the attributes' effects."""

IMPUTATION_ROUNDS = 2


class JointReader(nn.Module):
    """Features ``(N, F)`` to the attributes ``(N, A)`` it was built for.

    Sex is a logit, linear in the features; age, and the logarithm of weight, are linear given the
    sex and averaged over it.
    """

    centre: Tensor
    scale: Tensor
    sex_weights: Tensor
    sex_bias: Tensor
    weights: Tensor
    biases: Tensor

    def __init__(self, features: int, attributes: Sequence[str]) -> None:
        super().__init__()
        self._attributes = tuple(attributes)
        self._continuous = tuple(name for name in attributes if name != SEX.name)
        count = len(self._continuous)
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.register_buffer("sex_weights", torch.zeros(features))
        self.register_buffer("sex_bias", torch.zeros(()))
        self.register_buffer("weights", torch.zeros(features, count))
        self.register_buffer("biases", torch.zeros(2, count))

    def forward(self, features: Tensor) -> Tensor:
        """Return years, kg, and a logit for sex."""
        standard = (features - self.centre) / self.scale
        bent = FAR * torch.tanh(standard / FAR)
        logit = bent @ self.sex_weights + self.sex_bias
        male = torch.sigmoid(logit)[:, None]
        linear = bent @ self.weights + (1.0 - male) * self.biases[0] + male * self.biases[1]
        columns = []
        for name in self._attributes:
            if name == SEX.name:
                columns.append(logit)
            else:
                value = linear[:, self._continuous.index(name)]
                columns.append(torch.exp(value) if name == WEIGHT.name else value)
        return torch.stack(columns, dim=1)


def fit_joint(
    features: Array, values: Mapping[str, Array], attributes: Sequence[str], noise: float
) -> JointReader:
    """Return a reader fitted to features ``(N, F)`` and attributes ``(N,)``, NaN where unknown.

    Args:
        features: one row a subject.
        values: sex 0 (F) or 1 (M), years, kg.
        attributes: those to read; the others are not used.
        noise: variance added to every standardised feature: how little to trust small differences.
    """
    reader = JointReader(features.shape[1], attributes)
    known = np.stack([_linear(name, values[name]) for name in attributes], axis=1)
    reader.centre.copy_(torch.from_numpy(features.mean(axis=0)))
    reader.scale.copy_(torch.from_numpy(features.std(axis=0)).clamp(min=1e-6))
    filled = np.where(np.isnan(known), np.nanmean(known, axis=0), known)
    for _ in range(IMPUTATION_ROUNDS if np.isnan(known).any() else 1):
        _solve(reader, features, filled, attributes, noise)
        filled = np.where(np.isnan(known), _readings(reader, features, attributes), known)
    return reader


def _solve(
    reader: JointReader, features: Array, known: Array, attributes: Sequence[str], noise: float
) -> None:
    standard = (features - reader.centre.numpy()) / reader.scale.numpy()
    bent = FAR * np.tanh(standard / FAR)
    effects = _effects(bent, known, attributes, noise)
    continuous = [column for column, name in enumerate(attributes) if name != SEX.name]
    loading = effects.slopes[continuous] @ effects.precision
    spread = loading @ effects.slopes[continuous].T + effects.prior_precision
    weights = np.linalg.solve(spread, loading)
    groups = (0.0, 1.0) if SEX.name in attributes else (0.5, 0.5)
    expected, prior = [], []
    for group in groups:
        mean = effects.prior_mean(group)
        at = np.zeros(len(attributes))
        at[continuous] = mean
        if SEX.name in attributes:
            at[list(attributes).index(SEX.name)] = group
        expected.append(effects.intercept + at @ effects.slopes)
        prior.append(mean)
    reader.weights.copy_(torch.from_numpy(weights.T))
    reader.biases.copy_(
        torch.from_numpy(np.stack([m - weights @ e for m, e in zip(prior, expected, strict=True)]))
    )
    if SEX.name in attributes:
        # Evidence of sex with age and weight integrated out: linear, as both share a spread.
        marginal = effects.precision - loading.T @ weights
        step = marginal @ (expected[1] - expected[0])
        reader.sex_weights.copy_(torch.from_numpy(step))
        reader.sex_bias.fill_(float(-step @ (expected[0] + expected[1]) / 2.0))


@dataclass(frozen=True, eq=False)
class _Effects:
    """Features given attributes: ``intercept + attributes @ slopes``, with a noise precision."""

    intercept: Array
    slopes: Array
    precision: Array
    prior_means: Array
    prior_precision: Array

    def prior_mean(self, group: float) -> Array:
        """Return the mean of the continuous attributes, between women (0) and men (1)."""
        mean: Array = (1.0 - group) * self.prior_means[0] + group * self.prior_means[1]
        return mean


def _effects(bent: Array, known: Array, attributes: Sequence[str], noise: float) -> _Effects:
    centre, scale = known.mean(axis=0), np.maximum(known.std(axis=0), 1e-6)
    design = (known - centre) / scale
    gram = design.T @ design + ATTRIBUTE_PENALTY * np.eye(design.shape[1])
    slopes = np.linalg.solve(gram, design.T @ (bent - bent.mean(axis=0)))
    left = bent - bent.mean(axis=0) - design @ slopes
    freedom = max(len(bent) - design.shape[1] - 1, 1)
    covariance = left.T @ left / freedom + noise * np.eye(bent.shape[1])
    continuous = [column for column, name in enumerate(attributes) if name != SEX.name]
    wanted = known[:, continuous]
    means = np.stack([wanted.mean(axis=0)] * 2)
    if SEX.name in attributes:
        male = known[:, list(attributes).index(SEX.name)]
        means = np.stack([_mean_of(wanted, 1.0 - male), _mean_of(wanted, male)])
        wanted = wanted - means[0] - male[:, None] * (means[1] - means[0])
    return _Effects(
        intercept=bent.mean(axis=0) - (centre / scale) @ slopes,
        slopes=slopes / scale[:, None],
        precision=np.linalg.inv(covariance),
        prior_means=means,
        prior_precision=np.diag(1.0 / np.maximum(wanted.var(axis=0), 1e-9)),
    )


def _mean_of(values: Array, weight: Array) -> Array:
    mean: Array = weight @ values / max(float(weight.sum()), 1e-9)
    return mean


def _readings(reader: JointReader, features: Array, attributes: Sequence[str]) -> Array:
    """Return what the reader makes of features, sex as a probability, weight as its logarithm."""
    with torch.no_grad():
        read = reader(torch.from_numpy(features).float()).double().numpy()
    columns = [
        1.0 / (1.0 + np.exp(-read[:, column]))
        if ATTRIBUTES[name].kind == "binary"
        else _linear(name, read[:, column])
        for column, name in enumerate(attributes)
    ]
    return np.stack(columns, axis=1)


def _linear(name: str, values: Array) -> Array:
    """Return an attribute on the scale on which features follow it: weight as its logarithm."""
    return np.log(values) if name == WEIGHT.name else values
