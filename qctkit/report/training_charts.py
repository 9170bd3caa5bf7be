"""Charts of a training: the cohort, readings against the truth, learning curves."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from qctkit.cohort import Record

Array = NDArray[np.float64]

TEAL, RED, GREY = "#1b6c7a", "#b3402a", "#777777"
BINS = {"age_years": 5.0, "weight_kg": 5.0, "scan_length_mm": 10.0}
"""Widths of the histograms' bins, in the attribute's unit; other attributes get ten bins."""

COLUMNS = 4

SHOWN_LOSS = 2.5
"""Learning curves are shown up to this many times the first losses: a peak hides the rest."""


def cohort_overview(subjects: Sequence[Record], known: Mapping[str, tuple[str, str]]) -> Figure:
    """Return histograms of sex, of what is known in numbers, and of the lengths of scans.

    Args:
        subjects: their attributes, and the lengths of their scans.
        known: title and unit of the attributes that are numbers, by name.
    """
    panels = len(known) + 1
    figure = Figure(figsize=(2.1 + 3.3 * panels, 2.9), layout="constrained")
    sex, *others = figure.subplots(1, 1 + panels, width_ratios=(0.7, *[1] * panels))
    people = list({one["subject_id"]: one for one in subjects}.values())
    sexes = {"women": "F", "men": "M", "not known": None}
    counts = {word: sum(one["sex"] == code for one in people) for word, code in sexes.items()}
    sex.bar(list(counts), list(counts.values()), color=TEAL)
    sex.set_title("sex", fontsize=10)
    sex.set_ylabel("subjects")
    titles = {
        **{name: (*words, people) for name, words in known.items()},
        "scan_length_mm": ("length of scans", "mm along the slice axis", subjects),
    }
    for axes, (name, (title, unit, rows)) in zip(others, titles.items(), strict=True):
        values = [one[name] for one in rows if one[name] is not None]
        axes.hist(values, bins=_edges(values, _width(name, values)), color=TEAL, edgecolor="white")
        axes.set_title(title, fontsize=10)
        axes.set_xlabel(unit)
        axes.set_ylabel("scans" if name == "scan_length_mm" else "subjects")
    for axes in figure.axes:
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def read_against_true(unit: str, true: Array, readings: Mapping[str, Array], mean: Array) -> Figure:
    """Return what each predictor read of held-out subjects against what is true, a panel each.

    Args:
        unit: of the attribute.
        true: ``(N,)``, NaN where unknown.
        readings: ``(N,)`` by predictor.
        mean: ``(N,)``, what the mean predictor reads.
    """
    figure, panels = _panels(len(readings), 3.1)
    shown = np.concatenate([true, *readings.values()])
    limits = [float(np.nanmin(shown)) - 3.0, float(np.nanmax(shown)) + 3.0]
    for axes, (name, read) in zip(panels, readings.items(), strict=True):
        axes.plot(limits, limits, "-", color=GREY, linewidth=1, label="read = true")
        axes.axhline(float(mean.mean()), color=RED, linestyle="--", label="the mean predictor")
        axes.plot(true, read, "o", color=TEAL, markersize=5, alpha=0.8)
        axes.set(xlim=limits, ylim=limits, xlabel=f"true, {unit}", ylabel=f"read, {unit}")
        axes.set_title(name, fontsize=10)
    panels[0].legend(fontsize=8, loc="upper left")
    return figure


def binary_readings(
    classes: tuple[str, str],
    true: Array,
    readings: Mapping[str, Array],
    reliability: Mapping[str, Sequence[Record]],
) -> Figure:
    """Return by predictor the probabilities of the second class, and how far to trust them.

    Args:
        classes: what those are called who are 0, and 1.
        true: ``(N,)`` 0 or 1, NaN where unknown.
        readings: logits ``(N,)`` by predictor.
        reliability: by predictor, accuracy by bin of confidence.
    """
    figure = Figure(figsize=(2.4 * len(readings), 5.2), layout="constrained")
    panels = figure.subplots(2, len(readings), squeeze=False)
    spread = np.random.default_rng(0).uniform(-0.18, 0.18, len(true))
    for column, (name, logits) in enumerate(readings.items()):
        above, below = panels[0, column], panels[1, column]
        probability = 1.0 / (1.0 + np.exp(-np.clip(logits, -30.0, 30.0)))
        above.plot(true + spread, probability, "o", color=TEAL, markersize=5, alpha=0.7)
        above.axhline(0.5, color=RED, linestyle="--", linewidth=1)
        above.set(xlim=(-0.5, 1.5), ylim=(-0.03, 1.03), xticks=(0, 1))
        above.set_xticklabels(classes)
        above.set_title(name, fontsize=10)
        bins = reliability[name]
        below.plot([0.5, 1.0], [0.5, 1.0], "-", color=GREY, linewidth=1)
        below.scatter(
            [one["confidence"] for one in bins],
            [one["accuracy"] for one in bins],
            s=[20 + 180 * one["share"] for one in bins],
            color=TEAL,
        )
        below.set(xlim=(0.48, 1.02), ylim=(-0.03, 1.05), xlabel="confidence")
    panels[0, 0].set_ylabel(f"read probability of {classes[1]}")
    panels[1, 0].set_ylabel("share that was right")
    return figure


def learning_curves(curves: Mapping[str, Sequence[Sequence[Sequence[float]]]]) -> Figure:
    """Return losses by epoch of every network of every fold, and their median, a panel a predictor.

    Args:
        curves: by predictor, per network ``(E, 2)``: training and held-out loss.
    """
    figure, panels = _panels(len(curves), 2.8)
    for axes, (name, networks) in zip(panels, curves.items(), strict=True):
        longest = max(len(one) for one in networks)
        losses = np.full((len(networks), longest, 2), np.nan)
        for row, one in enumerate(networks):
            losses[row, : len(one)] = one
        epochs = np.arange(1, longest + 1)
        for column, (label, colour) in enumerate((("trained on", TEAL), ("held out", RED))):
            axes.plot(epochs, losses[:, :, column].T, color=colour, linewidth=0.6, alpha=0.4)
            middle = np.nanmedian(losses[:, :, column], axis=0)
            axes.plot(epochs, middle, color=colour, linewidth=2, label=label)
        highest = SHOWN_LOSS * float(losses[:, 0].mean())
        axes.set(xlabel="epoch", ylabel="loss", ylim=(0, highest))
        axes.set_title(name, fontsize=10)
    panels[0].legend(fontsize=8)
    return figure


def _panels(count: int, height: float) -> tuple[Figure, list[Any]]:
    rows = math.ceil(count / COLUMNS)
    columns = math.ceil(count / rows)
    figure = Figure(figsize=(3.2 * columns, height * rows), layout="constrained")
    every = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for spare in every[count:]:
        spare.remove()
    return figure, every[:count]


def _width(name: str, values: Sequence[float]) -> float:
    spread = max(values, default=0.0) - min(values, default=0.0)
    return BINS.get(name, spread / 10.0 or 1.0)


def _edges(values: Sequence[float], width: float) -> list[float]:
    """Return edges of bins at whole multiples of their width, with an empty bin on either side."""
    if not values:
        return [0.0, width]
    first, last = math.floor(min(values) / width), math.floor(max(values) / width) + 1
    return [width * step for step in range(first - 1, last + 2)]
