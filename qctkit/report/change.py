"""How much of the change that was expected of a real person predictors read off made samples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qctkit.report.facts import Array, MadeScan

DRAWS = 1000
INTERVAL = (0.025, 0.975)


@dataclass(frozen=True, eq=False)
class ChangeRead:
    """What one predictor read of one carried attribute, over all samples.

    Attributes:
        predictor, attribute: whose reading of what.
        in_loop: whether it drove the change, and so judges itself.
        can_read: whether it reads the attribute off unseen subjects at all.
        expected, read: ``(N,)`` changes from the source: of a real person so changed, and found.
        gain: read for a unit expected, by least squares through nought.
        low, high: its 95 % interval, by drawing source subjects anew; NaN with fewer than three.
    """

    predictor: str
    attribute: str
    in_loop: bool
    can_read: bool
    expected: Array
    read: Array
    gain: float
    low: float
    high: float


def changes_read(made: Sequence[MadeScan]) -> list[ChangeRead]:
    """Return the change read by every predictor of every attribute that was asked to change."""
    pairs: dict[tuple[str, str], list[tuple[float, float, str]]] = {}
    roles: dict[tuple[str, str], tuple[bool, bool]] = {}
    for one in made:
        for reading in one.record["readings"]:
            if reading["attribute"] in one.record["carried"]:
                key = (reading["attribute"], reading["predictor"])
                expected, read = (
                    reading[name] - reading["before"] for name in ("expected", "after")
                )
                subject = one.record["source_subject_id"]
                pairs.setdefault(key, []).append((expected, read, subject))
                roles[key] = (reading["role"] == "loop", reading["can_read"])
    found = [
        _change_read(*key, *roles[key], rows)
        for key, rows in sorted(pairs.items(), key=lambda one: (one[0][0], not roles[one[0]][0]))
    ]
    return [one for one in found if one.expected.any()]


def _change_read(
    attribute: str,
    predictor: str,
    in_loop: bool,
    can_read: bool,
    rows: Sequence[tuple[float, float, str]],
) -> ChangeRead:
    expected, read = (np.array([row[column] for row in rows]) for column in (0, 1))
    low, high = _interval(expected, read, [row[2] for row in rows])
    gain = _gain(float(expected @ read), float(expected @ expected))
    return ChangeRead(predictor, attribute, in_loop, can_read, expected, read, gain, low, high)


def _interval(expected: Array, read: Array, subjects: Sequence[str]) -> tuple[float, float]:
    """Return the bootstrap interval of the gain over subjects, whose samples are drawn together."""
    names, place = np.unique(np.array(subjects), return_inverse=True)
    if len(names) < 3:
        return float("nan"), float("nan")
    products = np.bincount(place, expected * read)
    squares = np.bincount(place, expected * expected)
    drawn = np.random.default_rng(0).integers(len(names), size=(DRAWS, len(names)))
    gains = [
        _gain(above, below)
        for above, below in zip(
            products[drawn].sum(axis=1), squares[drawn].sum(axis=1), strict=True
        )
    ]
    low, high = np.nanquantile(gains, INTERVAL) if np.isfinite(gains).any() else (np.nan, np.nan)
    return float(low), float(high)


def _gain(products: float, squares: float) -> float:
    return products / squares if squares > 0 else float("nan")
