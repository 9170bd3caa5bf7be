"""The five verdicts that matter, each in words, with what was asked of it.

What each means and does not mean stands in ``docs/report.md``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from qctkit.cohort import Record
from qctkit.report.change import ChangeRead, changes_read
from qctkit.report.facts import MadeScan, ReportFacts
from qctkit.report.training_words import title

GAIN_GOOD, GAIN_FAIR = (0.75, 1.25), (0.5, 1.5)
"""Change read for a unit of change expected. Readers err, so a perfect edit scatters about 1."""

SPREADS_COMMON = 2.0
SHARE_GOOD, SHARE_FAIR = 0.90, 0.75
"""Of real people 95 % lie within two spreads of their line."""

NOISE_GOOD, NOISE_FAIR = 0.05, 0.10
"""How far the mean noise power of a band may lie from the source's, as a share of it."""

AUC_GOOD, AUC_FAIR = 0.65, 0.80
CONTROL_NEEDED = 0.90
"""AUC of telling made from real, and of the positive control that a fit classifier must reach."""


class State(StrEnum):
    """How a verdict came out; each has a sign and a word, so that colour is never alone."""

    GOOD = "good"
    FAIR = "fair"
    BAD = "bad"
    UNKNOWN = "unknown"

    @property
    def sign(self) -> str:
        """A sign that is told apart without colour."""
        return {"good": "✓", "fair": "!", "bad": "✕", "unknown": "?"}[self.value]

    @property
    def word(self) -> str:
        """The state in a word or two."""
        return {
            "good": "holds", "fair": "with care", "bad": "does not hold",
            "unknown": "not measured",
        }[self.value]  # fmt: skip


@dataclass(frozen=True)
class Judgement:
    """One of the five: a question, how it came out, the figure in a few words, and the reason."""

    question: str
    state: State
    figure: str
    words: str

    def record(self) -> Record:
        """Return it as JSON values."""
        return {
            "question": self.question,
            "state": str(self.state),
            "figure": self.figure,
            "words": self.words,
        }


def five_verdicts(facts: ReportFacts) -> list[Judgement]:
    """Return the verdicts on change, structure, density, noise and realism."""
    return [
        change_verdict(changes_read(facts.made), facts),
        structure_verdict(facts.made),
        density_verdict(facts.made),
        noise_verdict(facts.made),
        realism_verdict(facts.analysis),
    ]


def change_verdict(changes: Sequence[ChangeRead], facts: ReportFacts) -> Judgement:
    """Return whether readers outside the loop read the change that was asked for."""
    question = "Did the scans change as asked?"
    if not facts.carried:
        return Judgement(
            question, State.UNKNOWN, "nothing asked",
            "No attribute is carried: all labels are the source's own.",
        )  # fmt: skip
    outside = [
        one for one in changes if not one.in_loop and one.can_read and np.isfinite(one.gain)
    ]
    if not outside:
        return Judgement(
            question, State.UNKNOWN, "no reader", "No reader outside the loop reads what was asked."
        )
    worst = max(outside, key=lambda one: abs(one.gain - 1.0))
    words = "; ".join(f"{title(one.attribute).lower()} {_interval(one)}" for one in outside)
    return Judgement(
        question,
        _graded(worst.gain, GAIN_GOOD, GAIN_FAIR),
        f"{worst.gain:.0%} of the change",
        "Predictors outside the loop read, for each unit of change expected of a real person: "
        f"{words}.",
    )


def structure_verdict(made: Sequence[MadeScan]) -> Judgement:
    """Return whether everything outside the stated region is the source's, voxel by voxel."""
    touched = [one for one in made if one.changed_outside]
    voxels = sum(one.changed_outside for one in touched)
    state = State.BAD if touched else State.GOOD
    kept = (
        f"Outside the region that the recipe states, all {len(made)} samples equal their sources, "
        "voxel by voxel (counted anew for this page)."
    )
    broken = f"{len(touched)} of {len(made)} samples differ from their sources outside it."
    return Judgement(
        "Is the rest untouched?",
        state,
        f"{voxels:,} voxels changed outside",
        broken if touched else kept,
    )


def density_verdict(made: Sequence[MadeScan]) -> Judgement:
    """Return whether densities are those of real people of the same attributes."""
    question = "Are densities those of real people?"
    names = ("trabecular_spreads_from_line", "cortical_spreads_from_line")
    spreads = [
        max(figures[name] for name in names)
        for figures in (_figures(one, "density") for one in made)
        if all(name in figures for name in names)
    ]
    if not spreads:
        return Judgement(
            question, State.UNKNOWN, "not measured", "The recipe has no density validator."
        )
    share = float(np.mean(np.array(spreads) <= SPREADS_COMMON))
    state = (
        State.GOOD if share >= SHARE_GOOD else State.FAIR if share >= SHARE_FAIR else State.BAD
    )
    return Judgement(
        question,
        state,
        f"{share:.0%} within two spreads",
        "Trabecular and cortical density lie within two spreads of the real cohort's line on sex, "
        f"age and weight in {share:.0%} of samples; 95 % of real people do, of one figure.",
    )


def noise_verdict(made: Sequence[MadeScan]) -> Judgement:
    """Return whether the noise is still that of the source's scanner."""
    question = "Is the noise the scanner's?"
    figures = [found for found in (_figures(one, "noise-texture") for one in made) if found]
    if not figures:
        return Judgement(
            question, State.UNKNOWN, "not measured", "The recipe has no noise-texture validator."
        )
    ratios = [
        {name: value for name, value in one.items() if name.endswith("_power_ratio")}
        for one in figures
    ]
    measured = [one for one in ratios if one]
    if not measured:
        return Judgement(
            question, State.GOOD, "untouched",
            "Hardly any even soft tissue was changed, so the noise there is the source's.",
        )  # fmt: skip
    means = {
        name.removesuffix("_power_ratio"): float(np.mean([one[name] for one in measured]))
        for name in measured[0]
    }
    furthest = max(abs(one - 1.0) for one in means.values())
    shown = ", ".join(f"{name} {value:.2f}" for name, value in means.items())
    return Judgement(
        question,
        _graded(1.0 + furthest, (0.0, 1.0 + NOISE_GOOD), (0.0, 1.0 + NOISE_FAIR)),
        f"{means[max(means, key=lambda name: abs(means[name] - 1.0))]:.2f} × the source's power",
        f"Mean noise power in even soft tissue, over the source's: {shown}.",
    )


def realism_verdict(analysis: Record | None) -> Judgement:
    """Return whether a classifier can tell made samples from real ones."""
    question = "Real or fake: can they be told apart?"
    found = (analysis or {}).get("realism")
    if not found or found.get("auc") is None:
        return Judgement(
            question, State.UNKNOWN, "not measured",
            "No classifier was trained on these cohorts for this page.",
        )  # fmt: skip
    return _realism(question, found)


def _realism(question: str, found: Record) -> Judgement:
    auc, control = found["auc"], found.get("control_auc")
    low, high = auc.get("low"), auc.get("high")
    interval = "" if low is None or high is None else f" ({low:.2f} to {high:.2f})"
    value = auc["value"]
    if control is None or control["value"] < CONTROL_NEEDED:
        seen = "was not tried" if control is None else f"reaches only {control['value']:.2f}"
        return Judgement(
            question, State.UNKNOWN, f"AUC {value:.2f}{interval}",
            f"A fake that anyone sees {seen}, so that the classifier may be too weak to say.",
        )  # fmt: skip
    return Judgement(
        question,
        _graded(value, (0.0, AUC_GOOD), (0.0, AUC_FAIR)),
        f"AUC {value:.2f}{interval}",
        "A classifier that never saw these subjects tells generated from real scans with this AUC; "
        f"0.5 is guessing, and a fake that anyone sees gets {control['value']:.2f}.",
    )


def _graded(value: float, good: tuple[float, float], fair: tuple[float, float]) -> State:
    if good[0] <= value <= good[1]:
        return State.GOOD
    return State.FAIR if fair[0] <= value <= fair[1] else State.BAD


def _figures(made: MadeScan, validator: str) -> dict[str, float]:
    for verdict in made.record["verdicts"]:
        if verdict["validator"] == validator:
            return dict(verdict["figures"])
    return {}


def _interval(one: ChangeRead) -> str:
    ends = f" ({one.low:.2f} to {one.high:.2f})" if np.isfinite(one.low) else ""
    return f"{one.gain:.2f}{ends} by {one.predictor}"
