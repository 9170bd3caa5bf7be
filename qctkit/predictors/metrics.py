"""Figures of readings on held-out subjects, each with a bootstrap interval over subjects."""

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from qctkit.cohort import Record
from qctkit.subject import ATTRIBUTES

Array = NDArray[np.float64]

BOOTSTRAP_DRAWS = 500
INTERVAL = (0.025, 0.975)
CALIBRATION_BINS = 5
DEVIATIONS_68, DEVIATIONS_95 = 0.9945, 1.9600
"""Half widths of a normal distribution's central 68 and 95 %, in standard deviations."""

BIAS_BANDS = {"age_years": (50.0, 70.0), "weight_kg": (65.0, 85.0)}
"""Limits between young, middle and old, and between light, middle and heavy; of other attributes
those between thirds of the subjects."""


def figures_of(name: str, true: Array, read: Array, groups: Sequence[str]) -> Record:
    """Return the figures of an attribute: ``{figure: {value, low, high}}``, and plain counts.

    Args:
        name: the attribute; its kind decides the figures.
        true: ``(N,)``, NaN where unknown.
        read: ``(N,)``, years, kg, or a logit.
        groups: ``(N,)`` subject ids; a subject's scans or slices are drawn together.
    """
    known = ~np.isnan(true)
    true, read, names = true[known], read[known], np.asarray(groups)[known]
    binary = ATTRIBUTES[name].kind == "binary"
    measures = BINARY if binary else CONTINUOUS
    drawn = _draws(names)
    found: dict[str, object] = {"subjects": len(set(names)), "readings": len(names)}
    for figure, measure in measures.items():
        values = np.array([measure(true[rows], read[rows]) for rows in drawn])
        values = values[~np.isnan(values)]
        low, high = np.quantile(values, INTERVAL) if len(values) else (np.nan, np.nan)
        found[figure] = {
            key: _json(value)
            for key, value in (("value", measure(true, read)), ("low", low), ("high", high))
        }
    if binary:
        found["confusion"] = _confusion(true, read)
        found["reliability"] = _reliability(true, read)
    else:
        found["bias_by_band"] = _bias_by_band(name, true, read)
    return found


def spread_figures(true: Array, read: Array, spread: Array, groups: Sequence[str]) -> Record:
    """Return how honest standard deviations ``(N,)`` are: ``{figure: {value, low, high}}``.

    ``within_68`` and ``within_95`` are the shares of subjects whose true value lies in the interval
    of that name, if errors are normal; ``mean_spread`` is in the attribute's unit.
    """
    known = ~np.isnan(true)
    off, spread, names = np.abs(read - true)[known], spread[known], np.asarray(groups)[known]
    drawn = _draws(names)
    found: dict[str, object] = {}
    for figure, each in {
        "within_68": (off <= DEVIATIONS_68 * spread).astype(float),
        "within_95": (off <= DEVIATIONS_95 * spread).astype(float),
        "mean_spread": spread,
    }.items():
        low, high = np.quantile([each[rows].mean() for rows in drawn] or [np.nan], INTERVAL)
        found[figure] = {"value": float(each.mean()), "low": _json(low), "high": _json(high)}
    return found


def expected_calibration_error(true: Array, logit: Array) -> float:
    """Return the mean distance of confidence and accuracy over bins of confidence."""
    return sum(
        one["share"] * abs(one["confidence"] - one["accuracy"]) for one in _reliability(true, logit)
    )


def _accuracy(true: Array, logit: Array) -> float:
    return float(((logit > 0) == (true > 0.5)).mean())


def _precision(true: Array, logit: Array) -> float:
    found = logit > 0
    return float((true[found] > 0.5).mean()) if found.any() else float("nan")


def _recall(true: Array, logit: Array) -> float:
    male = true > 0.5
    return float((logit[male] > 0).mean()) if male.any() else float("nan")


def _f1(true: Array, logit: Array) -> float:
    precision, recall = _precision(true, logit), _recall(true, logit)
    total = precision + recall
    return 2.0 * precision * recall / total if total > 0 else float("nan")


def _auc(true: Array, logit: Array) -> float:
    male = true > 0.5
    pairs = float(male.sum()) * float((~male).sum())
    # Mann-Whitney: the share of pairs of a man and a woman in the right order.
    above = rankdata(logit)[male].sum() - male.sum() * (male.sum() + 1) / 2
    return float(above / pairs) if pairs else float("nan")


def _r2(true: Array, read: Array) -> float:
    spread = float(((true - true.mean()) ** 2).mean())
    return 1.0 - float(((read - true) ** 2).mean()) / spread if spread > 0 else float("nan")


Measure = Callable[[Array, Array], float]

BINARY: Mapping[str, Measure] = {
    "accuracy": _accuracy,
    "precision": _precision,
    "recall": _recall,
    "f1": _f1,
    "auc": _auc,
    "calibration_error": expected_calibration_error,
}
"""Of the class M."""

CONTINUOUS: Mapping[str, Measure] = {
    "mse": lambda true, read: float(((read - true) ** 2).mean()),
    "mae": lambda true, read: float(np.abs(read - true).mean()),
    "mae_of_mean": lambda true, _: float(np.abs(true - true.mean()).mean()),
    "r2": _r2,
    "bias": lambda true, read: float((read - true).mean()),
}
"""``mae_of_mean`` is the error of reading the mean of these very subjects."""


def _draws(names: NDArray[np.str_]) -> list[NDArray[np.intp]]:
    generator = np.random.default_rng(0)
    rows_of = [np.flatnonzero(names == name) for name in np.unique(names)]
    count = len(rows_of)
    return [
        np.concatenate(
            [rows_of[one] for one in generator.integers(len(rows_of), size=len(rows_of))]
        )
        for _ in range(BOOTSTRAP_DRAWS if count > 1 else 0)
    ]


def _confusion(true: Array, logit: Array) -> Record:
    male, read_male = true > 0.5, logit > 0
    return {
        "true_f_read_f": int((~male & ~read_male).sum()),
        "true_f_read_m": int((~male & read_male).sum()),
        "true_m_read_f": int((male & ~read_male).sum()),
        "true_m_read_m": int((male & read_male).sum()),
    }


def _reliability(true: Array, logit: Array) -> list[dict[str, float]]:
    """Return confidence and accuracy by bins of equal width in confidence."""
    confidence = 1.0 / (1.0 + np.exp(-np.abs(np.clip(logit, -30.0, 30.0))))
    right = (logit > 0) == (true > 0.5)
    edge = np.linspace(0.5, 1.0, CALIBRATION_BINS + 1)
    place = np.clip(np.digitize(confidence, edge) - 1, 0, CALIBRATION_BINS - 1)
    return [
        {
            "confidence": float(confidence[place == one].mean()),
            "accuracy": float(right[place == one].mean()),
            "share": float((place == one).mean()),
        }
        for one in range(CALIBRATION_BINS)
        if (place == one).any()
    ]


def _bias_by_band(name: str, true: Array, read: Array) -> list[dict[str, float | None]]:
    """Return the mean error among low, middle and high values of the attribute."""
    between = BIAS_BANDS[name] if name in BIAS_BANDS else np.quantile(true, (1 / 3, 2 / 3)).round(1)
    edges = (-np.inf, *between, np.inf)
    bands = []
    for low, high in itertools.pairwise(edges):
        rows = (true >= low) & (true < high)
        if rows.any():
            bias = float((read - true)[rows].mean())
            bands.append({"from": _json(low), "to": _json(high), "bias": bias})
    return bands


def _json(value: float) -> float | None:
    """Return None for what JSON cannot hold."""
    return float(value) if np.isfinite(value) else None
