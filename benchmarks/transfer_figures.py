"""The figures of ``transfer.py``: each of samples, of their oracles, and the ratio of the two."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from qctkit.subject import ATTRIBUTES

SEX, AGE, WEIGHT = range(len(ATTRIBUTES))
SOURCE, SAMPLE, ORACLE = range(3)

BOOTSTRAP_DRAWS = 2000
FEWEST = 8
"""Candidates below which no figure is given."""


@dataclass(frozen=True, eq=False)
class Rows:
    """What is known of ``N`` candidates, their sources and their oracles, NaN where nothing is.

    Attributes:
        own, wanted: ``(N, 3)`` attributes of the source, and asked for.
        accepted: ``(N,)``.
        read: ``(N, 3 scans, 3 attributes)`` of the judge; sex as a logit.
        in_loop: ``(N, 3)``, what the predictors in the loop read of the sample.
        density_hu: ``(N, 3 scans, 2)``, trabecular and cortical.
        apart_hu: ``(N, 2 scans, 2)``: mean distance of source and sample to the oracle, in the
            femur and in soft tissue.
        noise: ``(N, 3)``, power over the source's in coarse, middle and fine bands.
        same: ``(N, 2)``: whether the mask, and the voxels outside the region, are the source's.
    """

    own: np.ndarray
    wanted: np.ndarray
    accepted: np.ndarray
    read: np.ndarray
    in_loop: np.ndarray
    density_hu: np.ndarray
    apart_hu: np.ndarray
    noise: np.ndarray
    same: np.ndarray

    def take(self, chosen: np.ndarray) -> "Rows":
        """Return some candidates, by number or by mask."""
        return replace(self, **{name: values[chosen] for name, values in vars(self).items()})

    def __len__(self) -> int:
        return len(self.own)


Measure: TypeAlias = Callable[[Rows, int], float]
"""A figure of the samples or of the oracles, as the scan's number says."""


@dataclass(frozen=True)
class Figure:
    """A figure of the table.

    Attributes:
        of_oracle: whether oracles have it too, and the ratio means something.
    """

    name: str
    measure: Measure
    of_oracle: bool = True


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval over subjects."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if np.isnan(self.value):
            return "-"
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def figures() -> tuple[Figure, ...]:
    """Return the lines of the table."""
    names = list(ATTRIBUTES)
    return (
        Figure("sex reached, where asked to change", _sex_reached),
        Figure("sex kept, where asked to stay", _sex_kept),
        Figure("age error, years", _error(AGE)),
        Figure("weight error, kg", _error(WEIGHT)),
        Figure("age gain", _gain(AGE)),
        Figure("weight gain", _gain(WEIGHT)),
        Figure("gain of sex, logit", _gain(SEX)),
        Figure("distance to the oracle, femur", _distance(0), of_oracle=False),
        Figure("distance to the oracle, soft tissue", _distance(1), of_oracle=False),
        Figure("trabecular change on the oracle's, slope", _density_gain(0), of_oracle=False),
        Figure("trabecular change with the oracle's, r", _density_r(0), of_oracle=False),
        Figure("cortical change on the oracle's, slope", _density_gain(1), of_oracle=False),
        Figure("cortical change with the oracle's, r", _density_r(1), of_oracle=False),
        *(
            Figure(f"noise power over the source's, {band}", _noise(column), of_oracle=False)
            for column, band in enumerate(("coarse", "middle", "fine"))
        ),
        Figure("mask the source's", _same(0), of_oracle=False),
        Figure("voxels outside the region the source's", _same(1), of_oracle=False),
        Figure("IN THE LOOP, no success: sex", _loop_sex, of_oracle=False),
        *(
            Figure(f"IN THE LOOP, no success: {names[one]} error", _loop(one), of_oracle=False)
            for one in (AGE, WEIGHT)
        ),
    )


def estimates(rows: Rows, figure: Figure) -> dict[str, Estimate]:
    """Return a figure of samples, of oracles, and the ratio of the two on the same draws."""
    draws = _draws(len(rows))
    taken = [rows, *(rows.take(one) for one in draws)] if len(rows) >= FEWEST else []
    sample = np.array([figure.measure(one, SAMPLE) for one in taken])
    if not figure.of_oracle:
        return {"sample": _estimate(sample)}
    oracle = np.array([figure.measure(one, ORACLE) for one in taken])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = sample / oracle
    return {
        "sample": _estimate(sample),
        "oracle": _estimate(oracle),
        "ratio": _estimate(ratio),
    }


def share(flags: np.ndarray) -> Estimate:
    """Return a share with its interval."""
    draws = [flags, *(flags[one] for one in _draws(len(flags)))]
    return _estimate(np.array([one.mean() for one in draws]))


def pooled(parts: Sequence[Rows]) -> Rows:
    """Return the candidates of all repeats."""
    joined: dict[str, Any] = {
        name: np.concatenate([vars(one)[name] for one in parts]) for name in vars(parts[0])
    }
    return Rows(**joined)


def _draws(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(count, size=(BOOTSTRAP_DRAWS, count))


def _estimate(values: np.ndarray) -> Estimate:
    """Return the first value, with the interval that the others, from draws, give."""
    if not len(values) or np.isnan(values[0]):
        return Estimate(np.nan, np.nan, np.nan)
    low, high = np.nanquantile(values[1:], (0.025, 0.975))
    return Estimate(float(values[0]), float(low), float(high))


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _sex_reached(rows: Rows, scan: int) -> float:
    return _sex_right(rows, rows.read[:, scan, SEX], asked_to_change=True)


def _sex_kept(rows: Rows, scan: int) -> float:
    return _sex_right(rows, rows.read[:, scan, SEX], asked_to_change=False)


def _sex_right(rows: Rows, logits: np.ndarray, *, asked_to_change: bool) -> float:
    wanted = np.where(np.isnan(rows.wanted[:, SEX]), rows.own[:, SEX], rows.wanted[:, SEX])
    right = np.where(np.isnan(logits), np.nan, (logits > 0) == (wanted > 0.5))
    return _mean(right[(wanted != rows.own[:, SEX]) == asked_to_change])


def _error(attribute: int) -> Measure:
    def error(rows: Rows, scan: int) -> float:
        return _mean(np.abs(rows.read[:, scan, attribute] - rows.wanted[:, attribute]))

    return error


def _gain(attribute: int) -> Measure:
    """Return the slope of the change read on that asked, beside all other changes asked."""

    def gain(rows: Rows, scan: int) -> float:
        asked = np.nan_to_num(rows.wanted - rows.own)
        if not asked[:, attribute].any():
            return float("nan")
        moved = rows.read[:, scan, attribute] - rows.read[:, SOURCE, attribute]
        design = np.column_stack([np.ones(len(rows)), asked])
        return float(np.linalg.lstsq(design, moved, rcond=None)[0][1 + attribute])

    return gain


def _distance(tissue: int) -> Measure:
    """Return how far samples are from the oracles, over how far the sources are."""

    def distance(rows: Rows, _: int) -> float:
        source, sample = (_mean(rows.apart_hu[:, scan, tissue]) for scan in (SOURCE, SAMPLE))
        return sample / source if source > 0.5 else float("nan")

    return distance


def _density_changes(rows: Rows, column: int) -> tuple[np.ndarray, np.ndarray]:
    source, sample, oracle = rows.density_hu[:, :, column].T
    return sample - source, oracle - source


def _density_gain(column: int) -> Measure:
    """Return the slope through the origin of samples' changes on their oracles': 1 is perfect."""

    def gain(rows: Rows, _: int) -> float:
        ours, oracles = _density_changes(rows, column)
        return float(ours @ oracles / (oracles @ oracles))

    return gain


def _density_r(column: int) -> Measure:
    def correlation(rows: Rows, _: int) -> float:
        ours, oracles = _density_changes(rows, column)
        if ours.std() == 0 or oracles.std() == 0:
            return float("nan")
        return float(np.corrcoef(ours, oracles)[0, 1])

    return correlation


def _noise(band: int) -> Measure:
    return lambda rows, _: _mean(rows.noise[:, band])


def _same(what: int) -> Measure:
    return lambda rows, _: _mean(rows.same[:, what])


def _loop_sex(rows: Rows, _: int) -> float:
    return _sex_right(rows, rows.in_loop[:, SEX], asked_to_change=True)


def _loop(attribute: int) -> Measure:
    return lambda rows, _: _mean(np.abs(rows.in_loop[:, attribute] - rows.wanted[:, attribute]))
