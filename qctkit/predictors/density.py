"""A predictor on bone density alone: differentiable physical features and a linear model.

It sees how dense the bone is, not how it is shaped nor what surrounds it, so its skill on unseen
subjects says which attributes an edit of density can honestly carry.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from qctkit.contracts import Role, TrainingData
from qctkit.predictors.ridge import ridge
from qctkit.subject import AGE, ATTRIBUTES, SEX, WEIGHT
from qctkit.view import View

CORE_DEPTH_VOXELS = 2
"""View voxels (3 mm each) from the surface at which the cortex no longer blurs into the core."""

RIDGE_PENALTIES = tuple(np.logspace(-1, 3, 17))
LOGISTIC_PENALTY = 0.3


class DensityFeatures(nn.Module):
    """Mean HU in core and shell of the upper and lower femur, and its spread in the cores.

    ``(N, 2, D, H, W)`` (HU, femur share) to ``(N, 6)``. The upper part of the view holds head and
    neck, the lower part trochanters and shaft. Six features are about as many as 29 subjects can
    teach; each further one costs a coefficient.
    """

    names = (
        "core_upper_hu",
        "core_lower_hu",
        "shell_upper_hu",
        "shell_lower_hu",
        "core_upper_spread_hu",
        "core_lower_spread_hu",
    )

    def forward(self, image: Tensor) -> Tensor:
        """Return features ``(N, F)``, HU."""
        hu, femur = image[:, 0], image[:, 1]
        core = _eroded(femur)
        shell = femur - core
        half = hu.shape[1] // 2
        # Index 0 of the view is its inferior end.
        parts = [(slice(half, None), "upper"), (slice(0, half), "lower")]
        means = [
            _mean(hu[:, part], weight[:, part]) for weight in (core, shell) for part, _ in parts
        ]
        spreads = [
            torch.sqrt(_mean((hu[:, part] - _spread_over(mean)) ** 2, core[:, part]) + 1.0)
            for (part, _), mean in zip(parts, means[:2], strict=True)
        ]
        return torch.stack([*means, *spreads], dim=1)


class LinearOnFeatures(nn.Module):
    """Standardised features times coefficients: ``(N, 2, D, H, W)`` to ``(N, A)``."""

    mean: Tensor
    scale: Tensor
    coefficients: Tensor
    intercepts: Tensor

    def __init__(self, features: DensityFeatures, outputs: int) -> None:
        super().__init__()
        self.features = features
        count = len(features.names)
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("scale", torch.ones(count))
        self.register_buffer("coefficients", torch.zeros(count, outputs))
        self.register_buffer("intercepts", torch.zeros(outputs))

    def forward(self, image: Tensor) -> Tensor:
        """Return estimates ``(N, A)`` in the attributes' own units, logits for binary ones."""
        return self.read(self.measure(image))

    @property
    def shape_columns(self) -> tuple[int, ...]:
        """Return none: densities alone."""
        return ()

    def measure(self, image: Tensor) -> Tensor:
        """Return the features ``(N, F)`` of images, HU."""
        found: Tensor = self.features(image)
        return found

    def read(self, features: Tensor) -> Tensor:
        """Return estimates ``(N, A)`` from features ``(N, F)``."""
        standard = (features - self.mean) / self.scale
        estimates: Tensor = standard @ self.coefficients + self.intercepts
        return estimates


@dataclass(frozen=True)
class DensityFamily:
    """Ridge regression (age, weight) and logistic regression (sex) on density features."""

    name: str = "bone-density"
    role: Role = Role.LOOP
    attributes: tuple[str, ...] = (SEX.name, AGE.name, WEIGHT.name)
    view: View = field(default_factory=View)

    def build(self, attributes: Sequence[str], view: View) -> LinearOnFeatures:  # noqa: ARG002
        """Return a model with zero coefficients; the view does not change its shape."""
        return LinearOnFeatures(DensityFeatures(), len(attributes))

    def fit(
        self,
        data: TrainingData,
        attributes: Sequence[str],
        seed: int,  # noqa: ARG002 - a solve draws nothing
    ) -> LinearOnFeatures:
        """Return a model fitted to the data; its penalty is chosen by leaving out people."""
        model = self.build(attributes, data.view).eval()
        with torch.no_grad():
            features = torch.cat([model.features(one) for one in data.singly()]).double()
        model.mean.copy_(features.mean(dim=0))
        model.scale.copy_(features.std(dim=0).clamp(min=1e-3))
        standard = ((features - model.mean) / model.scale).numpy()
        for column, name in enumerate(attributes):
            values = data.values[name].double().numpy()
            known = ~np.isnan(values)
            subjects = [data.subjects[row] for row in np.flatnonzero(known)]
            coefficients, intercept = _solve(name, standard[known], values[known], subjects)
            model.coefficients[:, column] = torch.from_numpy(coefficients)
            model.intercepts[column] = intercept
        return model


def _solve(
    name: str, features: np.ndarray, values: np.ndarray, subjects: Sequence[str]
) -> tuple[np.ndarray, float]:
    from sklearn.linear_model import LogisticRegression  # only a fit needs its second

    if ATTRIBUTES[name].kind == "binary":
        logistic = LogisticRegression(C=LOGISTIC_PENALTY).fit(features, values > 0.5)
        return logistic.coef_[0], float(logistic.intercept_[0])
    line = ridge(features, values, subjects, RIDGE_PENALTIES)
    return line.weights, line.bias


def _eroded(femur: Tensor) -> Tensor:
    size = 2 * CORE_DEPTH_VOXELS + 1
    hollow = nn.functional.max_pool3d(
        1.0 - femur[:, None], size, stride=1, padding=CORE_DEPTH_VOXELS
    )
    return 1.0 - hollow[:, 0]


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    total = weight.sum(dim=(1, 2, 3)).clamp(min=1.0)
    return (values * weight).sum(dim=(1, 2, 3)) / total


def _spread_over(mean: Tensor) -> Tensor:
    return mean[:, None, None, None]
