"""Ridge regressions whose penalty is chosen by leaving out one person after another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEAST = 1e-9
"""Share of a reading that others decide, at least: where all scans are one person's, none would."""


@dataclass(frozen=True, eq=False)
class Ridge:
    """``features @ weights + bias``, weights ``(F,)``, and how it was chosen.

    Attributes:
        penalty: the one chosen.
        held_out: ``(N,)``, what fits to the other people read of each scan.
    """

    weights: Array
    bias: float
    penalty: float
    held_out: Array


def ridge(
    features: Array, wanted: Array, subjects: Sequence[str], penalties: Sequence[float] | Array
) -> Ridge:
    """Return the regression of ``(N,)`` on features ``(N, F)``, its bias free of penalty.

    The penalty with the least mean squared held-out error is chosen. Held-out errors follow from
    the fit itself: of the rows B of one person they are (I - H_BB)^-1 r_B, with the hat matrix H
    and the residuals r (Cook and Weisberg 1982; of single rows Allen's PRESS, 1974).

    Args:
        features: one row a scan.
        wanted: what is to be read.
        subjects: whose scan each row is; all rows of one are left out together.
        penalties: those tried, on the squared weights.
    """
    middle, mean = features.mean(axis=0), float(wanted.mean())
    centred = features - middle
    # Solved between scans: features may be many more.
    eigenvalues, vectors = np.linalg.eigh(centred @ centred.T)
    projected = vectors.T @ (wanted - mean)
    together = _rows_together(subjects)
    fits = []
    for penalty in penalties:
        solved = vectors @ (projected / (eigenvalues + penalty))
        kept = eigenvalues / (eigenvalues + penalty)
        fits.append((solved, _held_out_errors(penalty * solved, vectors, kept, together)))
    best = int(np.argmin([float(np.mean(error**2)) for _, error in fits]))
    solved, error = fits[best]
    weights = centred.T @ solved
    return Ridge(weights, mean - float(middle @ weights), float(penalties[best]), wanted - error)


def _rows_together(subjects: Sequence[str]) -> list[NDArray[np.intp]]:
    """Return the rows of each person, ``(G, B)`` for the G people with B scans."""
    rows_of: dict[str, list[int]] = {}
    for row, name in enumerate(subjects):
        rows_of.setdefault(name, []).append(row)
    by_count: dict[int, list[list[int]]] = {}
    for rows in rows_of.values():
        by_count.setdefault(len(rows), []).append(rows)
    return [np.array(rows, dtype=np.intp) for rows in by_count.values()]


def _held_out_errors(
    residuals: Array, vectors: Array, kept: Array, together: Sequence[NDArray[np.intp]]
) -> Array:
    """Return the errors ``(N,)`` on people left out.

    The hat matrix is 1 / N + vectors diag(kept) vectors^T.
    """
    errors = np.empty(len(residuals))
    for rows in together:
        part = vectors[rows]
        own = 1.0 / len(residuals) + (part * kept) @ part.swapaxes(1, 2)
        shares, axes = np.linalg.eigh(np.eye(rows.shape[1]) - own)
        along = (axes.swapaxes(1, 2) @ residuals[rows][..., None])[..., 0]
        errors[rows] = (axes @ (along / np.maximum(shares, LEAST))[..., None])[..., 0]
    return errors
