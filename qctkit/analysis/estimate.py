"""A figure with its interval over subjects: resampling draws people, never scans or voxels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from qctkit.cohort import Record
from qctkit.geometry import FloatArray

CONFIDENCE = 0.95
DRAWS = 1000

Statistic = Callable[[NDArray[np.bool_]], float]
"""A figure of the rows that are kept."""


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; ``low`` and ``high`` are None where none can be given.

    ``subjects`` is the number of people behind it.
    """

    value: float
    low: float | None
    high: float | None
    subjects: int

    def record(self) -> Record:
        """Return it as JSON values; what is not a number is None."""
        return {
            "value": _plain(self.value),
            "low": _plain(self.low),
            "high": _plain(self.high),
            "subjects": self.subjects,
        }

    def excludes(self, value: float) -> bool:
        """Whether the interval is known and leaves a value out."""
        return self.low is not None and self.high is not None and not self.low <= value <= self.high

    def words(self, form: str = ".3g") -> str:
        """Return ``value (low to high)``."""
        if self.low is None or self.high is None:
            return f"{self.value:{form}} (no interval: {self.subjects} subjects)"
        return f"{self.value:{form}} ({self.low:{form}} to {self.high:{form}})"


def recorded(estimate: Estimate | None) -> Record | None:
    """Return an estimate as JSON values, None where there is none."""
    return None if estimate is None else estimate.record()


def jackknife(statistic: Statistic, groups: Sequence[str] | NDArray[np.str_]) -> Estimate:
    """Return a statistic with its delete-one-subject jackknife interval.

    The variance is sum((theta_-g - theta)^2) (G - 1) / G over the G subjects. For least squares it
    is the cluster-robust CV3 of Bell and McCaffrey (2002), and HC3 where every subject has one
    row; with quantiles of t (G - 1 degrees of freedom) its intervals cover honestly with few
    subjects, and err on the wide side (MacKinnon, Nielsen and Webb 2023, J. Econometrics 232:272).
    """
    names = np.asarray(groups)
    subjects = np.unique(names)
    value = statistic(np.ones(len(names), dtype=bool))
    error = jackknife_error(statistic, names, value)
    if error is None:
        return Estimate(value, None, None, len(subjects))
    reach = error * float(stdtrit(len(subjects) - 1, 0.5 + CONFIDENCE / 2))
    return Estimate(value, value - reach, value + reach, len(subjects))


def jackknife_error(statistic: Statistic, names: NDArray[np.str_], value: float) -> float | None:
    """Return the standard error of ``jackknife``, None where it is not known."""
    subjects = np.unique(names)
    if len(subjects) < 3 or not np.isfinite(value):
        return None
    without = np.array([statistic(names != one) for one in subjects])
    if not np.isfinite(without).all():
        return None
    square = ((without - value) ** 2).sum() * (len(subjects) - 1) / len(subjects)
    return float(np.sqrt(square))


def p_of_zero(estimate: Estimate) -> float | None:
    """Return the two-sided p of a jackknife estimate being 0, by its t interval."""
    if estimate.low is None or estimate.high is None:
        return None
    degrees = estimate.subjects - 1
    error = (estimate.high - estimate.low) / 2 / stdtrit(degrees, 0.5 + CONFIDENCE / 2)
    if error == 0.0:
        return 1.0 if estimate.value == 0.0 else 0.0
    return float(2 * stdtr(degrees, -abs(estimate.value) / error))


def mean_over_subjects(values: FloatArray, groups: NDArray[np.str_]) -> Estimate | None:
    """Return the mean of known values ``(N,)``, every subject counting once; None if none."""
    known = np.isfinite(values)
    if not known.any():
        return None
    names, place = np.unique(groups[known], return_inverse=True)
    means = np.bincount(place, values[known]) / np.bincount(place)
    return jackknife(lambda kept: float(means[kept].mean()), names)


def subject_draws(subjects: int, seed: int, draws: int = DRAWS) -> FloatArray:
    """Return how often each subject is drawn ``(draws, subjects)``, with replacement."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(subjects, np.full(subjects, 1 / subjects), draws).astype(float)


def percentiles(draws: FloatArray) -> tuple[float, float]:
    """Return the 95 % percentile interval of bootstrap draws."""
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _plain(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
