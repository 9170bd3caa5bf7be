"""The five verdicts that matter, each in words, with what was asked of it.

What each means and does not mean stands in ``docs/report.md``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from qctkit.cohort import Record
from qctkit.report.analysis_words import auc_beside, figure_of
from qctkit.report.change import ChangeRead, changes_read
from qctkit.report.facts import MadeScan, ReportFacts
from qctkit.report.training_words import shown, title

GAIN_GOOD, GAIN_FAIR = (0.75, 1.25), (0.5, 1.5)
"""Change read for a unit of change expected. Readers err, so a perfect edit scatters about 1."""

SPREADS_COMMON = 2.0
SHARE_GOOD, SHARE_FAIR = 0.90, 0.75
"""Samples within two spreads of the line, over the share of real scans that are."""

NOISE_GOOD, NOISE_FAIR = 0.05, 0.10
"""How far the mean noise power of a band may lie from the source's, as a share of it."""

AUC_GOOD, AUC_FAIR = 0.65, 0.80
CONTROL_NEEDED = 0.75
"""AUC of telling made from real, and what a fit classifier must reach on usual augmentation."""


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
        density_verdict(facts),
        noise_verdict(facts.made),
        realism_verdict(facts.analysis),
    ]


def change_verdict(changes: Sequence[ChangeRead], facts: ReportFacts) -> Judgement:
    """Return whether readers outside the loop read the change that was asked for."""
    question = "Did the scans change as asked?"
    if not facts.carried or not changes:
        return Judgement(
            question, State.UNKNOWN, "nothing asked",
            "No attribute was asked to change: all labels are the source's own.",
        )  # fmt: skip
    outside = [one for one in changes if not one.in_loop and one.can_read and np.isfinite(one.gain)]
    if not outside:
        return Judgement(
            question, State.UNKNOWN, "no reader", "No reader outside the loop reads what was asked."
        )
    worst = max(outside, key=lambda one: abs(one.gain - 1.0))
    words = "; ".join(f"{title(one.attribute).lower()} {_interval(one)}" for one in outside)
    return Judgement(
        question,
        _graded(worst.gain, GAIN_GOOD, GAIN_FAIR),
        f"{title(worst.attribute).lower()}: {worst.gain:.0%} of the change",
        "What predictors outside the loop read for each unit of change expected of a real person, "
        f"the worst above: {words}.",
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


def density_verdict(facts: ReportFacts) -> Judgement:
    """Return whether densities are those of real people of the same attributes."""
    share, real = _common([one.spreads for one in facts.made]), _common(facts.spreads)
    grade = State.BAD
    if share >= SHARE_GOOD * real:
        grade = State.GOOD
    elif share >= SHARE_FAIR * real:
        grade = State.FAIR
    return Judgement(
        "Are densities those of real people?",
        grade,
        f"{share:.0%}; of real scans {real:.0%}",
        "Trabecular and cortical density both lie within two spreads of the real cohort's line on "
        f"sex, age and weight in {share:.0%} of samples, and in {real:.0%} of the real scans "
        "(measured anew for this page).",
    )


def _common(spreads: Sequence[Mapping[str, float]]) -> float:
    return float(np.mean([max(one.values()) <= SPREADS_COMMON for one in spreads]))


def noise_verdict(made: Sequence[MadeScan]) -> Judgement:
    """Return whether the noise is still that of the source's scanner."""
    question = "Is the noise the scanner's?"
    measured = [one.noise for one in made if one.noise]
    if not measured:
        return Judgement(
            question, State.GOOD, "untouched",
            "Hardly any even tissue between -150 and 150 HU was changed, so that the noise in "
            "such tissue is the source's own. In bone it cannot be told from the bone's texture.",
        )  # fmt: skip
    means = {name: float(np.mean([one[name] for one in measured])) for name in measured[0]}
    furthest = max(means.values(), key=lambda one: abs(one - 1.0))
    each = ", ".join(f"{name} {value:.2f}" for name, value in means.items())
    in_femur = float(np.mean([one.noise_in_femur for one in made if one.noise]))
    return Judgement(
        question,
        _graded(furthest, (1 - NOISE_GOOD, 1 + NOISE_GOOD), (1 - NOISE_FAIR, 1 + NOISE_FAIR)),
        f"{furthest:.2f} × the source's power",
        f"Mean noise power of {len(measured)} samples over their sources', by grain, in what was "
        f"changed of even tissue between -150 and 150 HU: {each}. Of that tissue {in_femur:.0%} "
        "lies in the femur, as marrow and thin bone, the rest around it (measured anew for this "
        "page).",
    )


def realism_verdict(analysis: Record | None) -> Judgement:
    """Return whether a classifier can tell made samples from real ones.

    It counts only where the same kind of classifier tells random affine maps with noise from real
    scans: one that misses those may be too weak to say anything.
    """
    question = "Real or fake: can they be told apart?"
    realism = (analysis or {}).get("realism")
    auc = figure_of(realism, "classifier_auc") if realism else None
    if not realism or auc is None or auc["value"] is None:
        return Judgement(
            question, State.UNKNOWN, "not measured",
            "No classifier was trained on these cohorts for this page."
            if not realism else "There are too few subjects to train a classifier.",
        )  # fmt: skip
    value, high = auc["value"], auc["high"]
    shown_auc = f"AUC {shown(auc)}"
    control = figure_of(realism, "classifier_auc", "affine_and_noise")
    reached = control["value"] if control else None
    if value <= AUC_FAIR and (reached is None or reached < CONTROL_NEEDED):
        seen = "was not tried" if reached is None else f"gets only {reached:.2f}"
        return Judgement(
            question, State.UNKNOWN, shown_auc,
            f"Usual augmentation (affine and noise) {seen}{auc_beside(realism)}: the classifier "
            "may be too weak to say.",
        )  # fmt: skip
    state = _graded(value, (0.0, AUC_GOOD), (0.0, AUC_FAIR))
    if state is State.GOOD and high is not None and high > AUC_FAIR:
        state = State.FAIR
    beside = (
        "" if reached is None else f"; usual augmentation (affine and noise) gets {reached:.2f}"
    )
    return Judgement(
        question,
        state,
        shown_auc,
        "The stronger of two classifiers that never saw these subjects tells generated from real "
        f"scans with this AUC. 0.5 is guessing{beside}{auc_beside(realism)}.",
    )


def _graded(value: float, good: tuple[float, float], fair: tuple[float, float]) -> State:
    if good[0] <= value <= good[1]:
        return State.GOOD
    return State.FAIR if fair[0] <= value <= fair[1] else State.BAD


def _interval(one: ChangeRead) -> str:
    ends = f" ({one.low:.2f} to {one.high:.2f})" if np.isfinite(one.low) else ""
    return f"{one.gain:.2f}{ends} by {one.predictor}"
