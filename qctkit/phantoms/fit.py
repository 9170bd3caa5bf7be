"""A straight line through a few points, with how well it fits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Fit:
    """y = slope * x + intercept by least squares.

    Attributes:
        slope, intercept: of the line.
        r: correlation of x and y; 0 where either does not vary.
        residual: root mean square of y minus the line.
    """

    slope: float
    intercept: float
    r: float
    residual: float


def fit_line(x: Sequence[float], y: Sequence[float]) -> Fit:
    """Return the least-squares line through points whose x are not all the same."""
    at, value = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    from_mean, value_from_mean = at - at.mean(), value - value.mean()
    slope = float(from_mean @ value_from_mean / (from_mean @ from_mean))
    intercept = float(value.mean() - slope * at.mean())
    spread = float(np.sqrt((from_mean @ from_mean) * (value_from_mean @ value_from_mean)))
    r = float(from_mean @ value_from_mean) / spread if spread > 0 else 0.0
    residual = float(np.sqrt(np.mean((value - slope * at - intercept) ** 2)))
    return Fit(slope, intercept, float(np.clip(r, -1.0, 1.0)), residual)
