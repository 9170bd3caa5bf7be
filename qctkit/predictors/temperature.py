"""Temperature scaling: held-out logits into honest probabilities (Guo et al. 2017)."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TEMPERATURES = np.geomspace(0.5, 16.0, 31)


def honest_temperature(logits: Array, true: Array) -> float:
    """Return what held-out logits ``(N,)`` must be divided by; ``true`` is 0, 1, or NaN."""
    known = ~np.isnan(true)
    losses = [log_loss(logits[known] / one, true[known]) for one in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])


def log_loss(logits: Array, true: Array) -> float:
    """Return the mean negative log probability of the true classes."""
    return float(np.logaddexp(0.0, np.where(true > 0.5, -logits, logits)).mean())
