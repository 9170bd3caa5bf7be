"""How far two sets of samples lie apart in a feature space, and how they cover each other."""

from dataclasses import dataclass

import numpy as np
from scipy import linalg
from scipy.spatial import distance
from sklearn.covariance import ledoit_wolf

from qctkit.geometry import FloatArray

NEIGHBOURS = 5
"""k of precision, recall, density and coverage: the value that Naeem et al. (2020) advise."""


@dataclass(frozen=True)
class Standard:
    """The scale of a feature space: features less the real mean, over the real spread."""

    mean: FloatArray
    spread: FloatArray

    @classmethod
    def of(cls, real: FloatArray) -> "Standard":
        """Return the scale of real samples ``(N, F)``."""
        spread = real.std(axis=0)
        return cls(real.mean(axis=0), np.where(spread > 1e-9, spread, 1.0))

    def __call__(self, features: FloatArray) -> FloatArray:
        """Return features in spreads of real samples."""
        return np.asarray((features - self.mean) / self.spread)


def frechet(one: FloatArray, other: FloatArray) -> float:
    """Return the squared Frechet distance of Gaussians fitted to samples ``(N, F)``, ``(M, F)``.

    |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) (Dowson and Landau 1982; Heusel et al. 2017), with
    covariances shrunk after Ledoit and Wolf (2004), since samples are fewer than features need.
    It is above 0 for two halves of one population and falls as samples grow: compare it only with
    a reference of equal sizes.
    """
    first, second = (ledoit_wolf(part)[0] for part in (one, other))
    root = linalg.sqrtm(first)
    middle = np.linalg.eigvalsh(np.real(root @ second @ root))
    crossed = np.sqrt(np.clip(middle, 0.0, None)).sum()
    shift = one.mean(axis=0) - other.mean(axis=0)
    return float(shift @ shift + np.trace(first) + np.trace(second) - 2 * crossed)


def kernel_distance(one: FloatArray, other: FloatArray) -> float:
    """Return the unbiased squared maximum mean discrepancy (Gretton et al. 2012).

    With the cubic kernel (x y / F + 1)^3 of the Kernel Inception Distance (Binkowski et al. 2018):
    0 on average where both are of one population, and then as often below 0 as above.
    """
    within = [_off_diagonal_mean(_kernel(part, part)) for part in (one, other)]
    return float(sum(within) - 2 * _kernel(one, other).mean())


@dataclass(frozen=True)
class Cover:
    """How well made samples lie among real ones, and real ones among made ones.

    Attributes:
        precision: share of made samples within reach of a real one: are they plausible?
        recall: share of real samples within reach of a made one: are all kinds made?
        density: how many real neighbourhoods hold a made sample, over k: 1 where all is alike.
        coverage: share of real samples whose neighbourhood holds a made one.
        diversity: mean distance between made samples over that between real ones.
    """

    precision: float
    recall: float
    density: float
    coverage: float
    diversity: float


def cover(real: FloatArray, made: FloatArray, neighbours: int = NEIGHBOURS) -> Cover:
    """Return how samples cover each other, ``(N, F)`` and ``(M, F)``.

    Precision and recall after Kynkaanniemi et al. (2019), density and coverage after Naeem et al.
    (2020): a neighbourhood reaches as far as the k-th nearest sample of its own kind.
    """
    to_real = distance.cdist(made, real)
    real_reach, made_reach = (_reach(part, neighbours) for part in (real, made))
    in_real = to_real <= real_reach[None, :]
    in_made = to_real <= made_reach[:, None]
    return Cover(
        precision=float(in_real.any(axis=1).mean()),
        recall=float(in_made.any(axis=0).mean()),
        density=float(in_real.sum(axis=1).mean() / neighbours),
        coverage=float(in_real.any(axis=0).mean()),
        diversity=float(
            distance.pdist(made).mean() / max(float(distance.pdist(real).mean()), 1e-9)
        ),
    )


def _reach(samples: FloatArray, neighbours: int) -> FloatArray:
    """Return the distance of each sample to its k-th nearest other."""
    apart = distance.squareform(distance.pdist(samples))
    return np.asarray(np.sort(apart, axis=1)[:, min(neighbours, len(samples) - 1)])


def _kernel(one: FloatArray, other: FloatArray) -> FloatArray:
    return np.asarray((one @ other.T / one.shape[1] + 1.0) ** 3)


def _off_diagonal_mean(kernel: FloatArray) -> float:
    count = len(kernel)
    return float((kernel.sum() - np.trace(kernel)) / (count * (count - 1)))
