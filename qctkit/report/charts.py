"""Charts of a made cohort beside the real one. Real is round and blue, made is pointed and red."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from qctkit.cohort import Record
from qctkit.report.change import ChangeRead
from qctkit.report.facts import DENSITIES, Array, MeasuredScan, ReportFacts
from qctkit.report.training_words import title, unit
from qctkit.report.vector import INK, MADE, MUTED, REAL, STYLE, THIRD
from qctkit.subject import AGE, SEX, WEIGHT
from qctkit.window import DEFAULT_BONE_BAND

P = ParamSpec("P")

REAL_DOT: dict[str, Any] = {"color": REAL, "marker": "o", "linestyle": "", "markersize": 4.5,
                            "markerfacecolor": "none", "markeredgewidth": 1.3}  # fmt: skip
MADE_DOT: dict[str, Any] = {"color": MADE, "marker": "^", "linestyle": "", "markersize": 3.8,
                            "markeredgewidth": 0, "alpha": 0.6}  # fmt: skip
BINS = 12


def _themed(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw a figure in the page's style."""

    @wraps(draw)
    def styled(*arguments: P.args, **named: P.kwargs) -> Figure:
        with mpl.rc_context(STYLE):
            return draw(*arguments, **named)

    return styled


@_themed
def attributes_chart(facts: ReportFacts) -> Figure:
    """Return who was scanned and whom made samples claim to be: sex, age, weight."""
    figure = Figure(figsize=(9.6, 2.5), layout="constrained")
    sex, *others = figure.subplots(1, 3, width_ratios=(0.8, 1, 1))
    both = ((_real(facts), REAL, -0.2, "real"), (_made(facts), MADE, 0.2, "generated"))
    for scans, colour, shift, label in both:
        known = [one.subject.sex for one in scans if one.subject.sex]
        shares = [
            100.0 * sum(sex == one for sex in known) / max(len(known), 1) for one in set_of_sexes()
        ]
        bars = sex.bar(
            [shift, 1 + shift], shares, 0.36, color=colour if colour == REAL else "none",
            edgecolor=colour, hatch="" if colour == REAL else "///", label=label,
        )  # fmt: skip
        sex.bar_label(bars, [f"{one:.0f}" for one in shares], fontsize=8, color=INK)
    sex.set_xticks([0, 1], ["women", "men"])
    sex.set(ylabel="% of scans", title="sex", ylim=(0, 112))
    sex.grid(visible=False, axis="x")
    sex.legend(loc="upper center", ncols=2)
    for axes, name in zip(others, (AGE.name, WEIGHT.name), strict=True):
        values = [attribute_values(scans, name) for scans, *_ in both]
        _histograms(axes, values)
        axes.set(xlabel=f"{title(name).lower()}, {unit(name)}", title=title(name).lower())
        axes.set_ylabel("% of scans")
    return figure


@_themed
def change_chart(changes: Sequence[ChangeRead]) -> Figure:
    """Return the change that each predictor read against that expected of a real person."""
    columns = min(len(changes), 4)
    rows = -(-len(changes) // columns)
    figure = Figure(figsize=(2.4 * columns + 0.2, 2.5 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, one in zip(panels, changes, strict=False):
        values = np.concatenate([one.expected, one.read, [0.0]])
        pad = 0.06 * max(float(np.ptp(values)), 1.0)
        limits = float(values.min()) - pad, float(values.max()) + pad
        axes.plot(limits, limits, color=MUTED, linewidth=1, linestyle="--")
        axes.plot(one.expected, one.read, **{**MADE_DOT, "color": THIRD if one.in_loop else MADE,
                                             "marker": "s" if one.in_loop else "^"})  # fmt: skip
        word = "logit" if one.attribute == SEX.name else unit(one.attribute)
        axes.set(xlim=limits, ylim=limits, xlabel=f"change expected, {word}")
        axes.set_ylabel(f"change read, {word}")
        where = "in the loop" if one.in_loop else "outside the loop"
        axes.set_title(f"{title(one.attribute)}\n{one.predictor}", fontsize=9)
        axes.annotate(
            where, (0.97, 0.04), xycoords="axes fraction", ha="right", fontsize=8, color=INK
        )
    for spare in panels[len(changes) :]:
        spare.remove()
    return figure


@_themed
def density_chart(facts: ReportFacts) -> Figure:
    """Return the densities of real and made scans as histograms."""
    figure = Figure(figsize=(9.6, 2.5), layout="constrained")
    names = ("trabecular_hu", "cortical_hu", "femur_ml")
    for axes, name in zip(figure.subplots(1, 3), names, strict=True):
        _histograms(axes, [figure_values(one, name) for one in (_real(facts), _made(facts))])
        axes.set(xlabel="mL" if name == "femur_ml" else facts.unit, title=DENSITIES[name])
        axes.set_ylabel("% of scans")
    figure.axes[0].legend()
    return figure


@_themed
def band_chart(facts: ReportFacts) -> Figure:
    """Return the bone-band histograms: the mean over subjects, and where 90 % of scans lie."""
    figure = Figure(figsize=(9.6, 3.0), layout="constrained")
    axes = figure.subplots()
    limits = DEFAULT_BONE_BAND.limits_hu(facts.window)
    shown = (facts.bins_hu >= limits[0]) & (facts.bins_hu <= limits[1])
    bins = facts.bins_hu[shown]
    for scans, who, colour, style, label in (
        (_real(facts), "real", REAL, "-o", "real"),
        (_made(facts), "made", MADE, "--^", "generated"),
    ):
        curves = 100.0 * np.stack([one.histogram[shown] for one in scans])
        low, high = np.quantile(curves, (0.05, 0.95), axis=0)
        axes.fill_between(bins, low, high, color=colour, alpha=0.13, linewidth=0)
        mean = 100.0 * np.array(facts.peaks[who]["curve"]["mean"])[shown]
        tops = [int(np.abs(bins - peak).argmin()) for peak in facts.peaks[who]["peaks_hu"]]
        axes.plot(bins, mean, style, color=colour, label=label, markevery=tops)
    axes.set_xlabel(facts.unit)
    axes.set_ylabel("% of the femur's voxels\nper 10 HU")
    axes.set_xlim(limits)
    axes.set_ylim(bottom=0)
    axes.legend()
    fraction = axes.secondary_xaxis(
        "top",
        functions=(
            lambda hu: (np.asarray(hu, np.float64) - facts.window.low_hu) / facts.window.width_hu,
            lambda part: facts.window.low_hu + np.asarray(part, np.float64) * facts.window.width_hu,
        ),
    )
    fraction.set_xlabel("of the window")
    return figure


@_themed
def relation_chart(facts: ReportFacts, relations: Mapping[tuple[str, str], Record]) -> Figure:
    """Return density and peak against age and weight, real and made.

    Args:
        facts: the scans.
        relations: slopes by figure and attribute, each of ``real`` and ``made``, or none.
    """
    figures, attributes = ("trabecular_hu", "cortical_hu", "bone_band_peak_hu"), (AGE, WEIGHT)
    figure = Figure(figsize=(9.6, 5.2), layout="constrained")
    panels = figure.subplots(2, 3, sharey="col")
    for row, attribute in enumerate(attributes):
        for axes, name in zip(panels[row], figures, strict=True):
            for scans, dot, who in (
                (_made(facts), MADE_DOT, "made"),
                (_real(facts), REAL_DOT, "real"),
            ):
                x, y = attribute_values(scans, attribute.name), figure_values(scans, name)
                axes.plot(x, y, **dot, label="real" if who == "real" else "generated")
                found = relations.get((name, attribute.name), {}).get(who)
                if found:
                    _line(axes, x, y, found["slope"]["value"], who)
            axes.set_xlabel(f"{title(attribute.name).lower()}, {attribute.unit}")
            if row == 0:
                axes.set_title(DENSITIES[name])
    for row in panels:
        row[0].set_ylabel(facts.unit, fontsize=8)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles[:2], labels[:2], loc="outside upper right", ncols=2)
    return figure


@dataclass(frozen=True)
class Rung:
    """One value with its interval, where it is known, and whether it is the made cohort's."""

    label: str
    value: float
    low: float | None
    high: float | None
    ours: bool


@_themed
def ladder(rungs: Sequence[Rung], words: str, neutral: float) -> Figure:
    """Return a dot with its interval a row, against a line where nothing can be told apart."""
    figure = Figure(figsize=(7.6, 0.8 + 0.36 * len(rungs)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(neutral, color=MUTED, linestyle="--", linewidth=1)
    for place, one in enumerate(rungs):
        colour = MADE if one.ours else MUTED
        if one.low is not None and one.high is not None:
            axes.plot([one.low, one.high], [place, place], color=colour, linewidth=2)
        axes.plot([one.value], [place], "D" if one.ours else "o", color=colour, markersize=7)
        axes.annotate(
            f"{one.value:.2f}", (one.value, place), (0, 6), textcoords="offset points",
            ha="center", fontsize=8, color=INK,
        )  # fmt: skip
    axes.set_yticks(range(len(rungs)), [one.label for one in rungs])
    axes.set_ylim(len(rungs) - 0.5, -0.75)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(words)
    return figure


def attribute_values(scans: Sequence[MeasuredScan], name: str) -> Array:
    """Return an attribute of scans, NaN where it is not known."""
    values = (one.subject.value(name) for one in scans)
    return np.array([np.nan if one is None else one for one in values], dtype=np.float64)


def figure_values(scans: Sequence[MeasuredScan], name: str) -> Array:
    """Return a figure of scans, NaN where there is none."""
    return np.array([one.figures[name] for one in scans], dtype=np.float64)


def set_of_sexes() -> tuple[str, str]:
    """Return the sexes in the order in which they are shown."""
    return "F", "M"


def _real(facts: ReportFacts) -> Sequence[MeasuredScan]:
    return facts.real


def _made(facts: ReportFacts) -> list[MeasuredScan]:
    return [one.scan for one in facts.made]


def _histograms(axes: Any, values: Sequence[Array]) -> None:
    """Draw real values filled and made ones as a hatched outline, in shared bins."""
    known = [one[np.isfinite(one)] for one in values]
    every = np.concatenate(known)
    if not len(every):
        axes.annotate("not known", (0.5, 0.5), xycoords="axes fraction", ha="center", color=INK)
        return
    edges = np.histogram_bin_edges(every, BINS)
    shares = [100.0 * np.histogram(one, edges)[0] / max(len(one), 1) for one in known]
    axes.stairs(shares[0], edges, fill=True, color=REAL, alpha=0.45, label="real")
    axes.stairs(shares[1], edges, color=MADE, linewidth=1.6, hatch="///", label="generated",
                fill=False)  # fmt: skip
    axes.yaxis.set_major_locator(MaxNLocator(4))


def _line(axes: Any, x: Array, y: Array, slope: float | None, who: str) -> None:
    """Draw a slope through the middle of what it is the slope of."""
    known = np.isfinite(x) & np.isfinite(y)
    if slope is None or known.sum() < 2:
        return
    ends = np.array([x[known].min(), x[known].max()])
    middle = y[known].mean() + slope * (ends - x[known].mean())
    axes.plot(ends, middle, color=REAL if who == "real" else MADE,
              linestyle="-" if who == "real" else "--")  # fmt: skip
