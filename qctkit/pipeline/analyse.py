"""``qctkit validate --figures``: the figures of a made cohort beside those of a real one."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qctkit.analysis.affine import affine_and_noise
from qctkit.analysis.density import Band, DensityAnalysis, analyse_density
from qctkit.analysis.realism import Realism, analyse_realism
from qctkit.calibration import Calibration
from qctkit.cohort import FemurMask, Record, Sample
from qctkit.density import band_histogram
from qctkit.errors import CohortFileError, InputError
from qctkit.pipeline.beside import beside_record
from qctkit.pipeline.measure import Seen, appearance, measure_sample, measured
from qctkit.progress import Progress
from qctkit.store.reader import CohortFile
from qctkit.units import Unit
from qctkit.window import DEFAULT_BONE_BAND, BoneBand

LIMITS = "edit-limits"
FAILED = "plugin-failed"
"""What refused a candidate where no validator did: the edit's own limits, or broken code."""


@dataclass(frozen=True)
class Yield:
    """How many candidates were tried, accepted and refused, and by what.

    Attributes:
        refused_by: refusals by validator; a candidate that several refuse counts for each.
    """

    accepted: int
    refused: int
    refused_by: dict[str, int]

    @property
    def tried(self) -> int:
        """Number of candidates."""
        return self.accepted + self.refused

    @property
    def words(self) -> str:
        """``412 of 600 accepted, 120 refused by noise-texture, ...``."""
        parts = [f"{count} refused by {name}" for name, count in self.refused_by.items()]
        more = sum(self.refused_by.values()) > self.refused
        note = " (some by several)" if more else ""
        return ", ".join([f"{self.accepted} of {self.tried} accepted", *parts]) + note

    def record(self) -> Record:
        """Return it as JSON values."""
        return {
            "tried": self.tried,
            "accepted": self.accepted,
            "refused": self.refused,
            "refused_by": self.refused_by,
            "words": self.words,
        }


@dataclass(frozen=True, eq=False)
class Analysis:
    """The cohort figures of made samples beside real scans.

    ``realism`` is None where it was not asked for; ``beside`` are the files whose figures of it
    stand beside those of the made samples, by name.
    """

    made_yield: Yield
    density: DensityAnalysis
    realism: Realism | None
    beside: Mapping[str, CohortFile]

    def record(self) -> Record:
        """Return everything as JSON values.

        An *estimate* is ``{"value", "low", "high", "subjects"}``: a value, its 95 % interval over
        subjects (None where none can be given) and the number of people behind it. Whatever could
        not be computed is None. Keys::

            yield: tried, accepted, refused, refused_by {validator: count}, words
            density:
              band: fraction [low, high], hu [low, high], mg_cm3 [low, high] or None,
                    centres_fraction, centres_hu, centres_mg_cm3 (or None): the histograms'
                    bins, which go on 200 HU beyond the band to both sides
              measures: a list, trabecular and cortical first, of
                    name, title, unit, region (femur, head, neck, trochanter, shaft),
                    real, made, change_from_source: estimates or None
              peak: real and made, each
                    state ("none", "one", "several"), peaks_hu (the highest first),
                    highest_hu: estimate or None,
                    states_in_draws {state: share of bootstrap draws},
                    samples {state: number of samples},
                    curve: mean, low, high: the mean histogram a bin, with its 95 % band
              relations: a list, for trabecular_hu, cortical_hu and bone_band_peak_hu against
                    weight_kg, age_years and sex, of
                    measure, attribute, p_equal_slopes, slope_difference (estimate),
                    real and made, each None or
                    slope (estimate, HU per unit), rank_correlation (estimate), p_zero_slope,
                    adjusted_for [attribute]
              study: peak_moves_right_as_weight_falls and weak_relation_with_age, each
                    real and made: "yes", "no", "not decided"
              notes: sentences
              samples: a list, real ones first, of
                    sample_id, source_sample_id (None for real), subject_id, made (bool),
                    attributes {sex 0 or 1, age_years, weight_kg: value or None},
                    figures {measure name: value or None}, histogram, peaks_hu
            beside: a list, a file that figures of realism are also given for, of
                  name, recipe, account, seed, samples, candidates, fingerprint
            realism (None where not asked for):
              figures: a list of
                    name, title, alike (the value where made and real are alike, or None),
                    made, real_against_real, affine_and_noise: estimates or None,
                    beside: the same of each file by its name
              stronger_classifier: "features", "network" or None
              noise: frequencies_cycles_per_voxel, lags_voxels; real, made, affine_and_noise, and
                    under beside each file by its name, of scans, power_hu2, autocorrelation,
                    between_slices
              notes: sentences
              samples: a list over made samples of
                    sample_id, source_sample_id, distance_to_source,
                    distance_to_source_over_neighbours (0 a copy, 1 another person),
                    nearest_other_sample_id, distance_to_nearest_other,
                    made_score (held-out logit of being made, of the stronger classifier)
            words: sentences
        """
        return {
            "yield": self.made_yield.record(),
            "density": self.density.record(),
            "beside": beside_record(self.beside),
            "realism": None if self.realism is None else self.realism.record(),
            "words": list(self.words),
        }

    @property
    def words(self) -> tuple[str, ...]:
        """Say it in sentences: yield, density, real or fake."""
        looks = () if self.realism is None else self.realism.words
        return (self.made_yield.words, *self.density.words, *looks)


def analyse(
    made: CohortFile,
    real: CohortFile,
    progress: Progress,
    *,
    band: BoneBand = DEFAULT_BONE_BAND,
    realism: bool = True,
    beside: Mapping[str, CohortFile] | None = None,
    seed: int = 0,
) -> Analysis:
    """Return the figures of made samples beside those of a real cohort.

    ``realism`` adds classifiers and distances, for which networks are trained: minutes, where
    density alone takes about a second a scan. ``beside`` are other files made from the same
    cohort, as ``qctkit.pipeline.beside.beside_by_name`` gives them: they get the same figures of
    realism, which costs about as much again for each.

    Raises:
        CohortFileError: a file holds no samples, or the first no made ones.
        InputError: voxels are not in HU, or the two cohorts have different windows.
    """
    _refuse(made, real)
    window = real.window
    seen_real = _seen(real, "measuring real scans", progress, look=realism)
    seen_made = _seen(made, "measuring made samples", progress, look=realism)
    limits = band.limits_hu(window)
    axis = Band(
        band.low,
        band.high,
        band_histogram(np.zeros(0), limits)[0],
        (window.low_hu, window.high_hu),
        _mean_line([real, made]),
    )
    table, other = (
        measured(one, calibrated=axis.line is not None) for one in (seen_real, seen_made)
    )
    figures = analyse_density(table, other, axis)
    looks = None
    beside = beside or {}
    if realism:
        plain = _affine(seen_made, made, real, progress, seed)
        others = {
            name: appearance(_seen(one, f"measuring {name}", progress, look=True))
            for name, one in beside.items()
        }
        with progress.task("telling made from real", 3 + len(others)) as task:
            looks = analyse_realism(
                appearance(seen_real),
                appearance(seen_made),
                appearance(plain),
                beside=others,
                seed=seed,
                advance=task.advance,
            )
    return Analysis(made_yield(made), figures, looks, beside)


def made_yield(made: CohortFile) -> Yield:
    """Return how many candidates of a run were accepted and refused, and by what."""
    by: Counter[str] = Counter()
    for record in made.refused:
        verdicts: Sequence[dict[str, Any]] = record["verdicts"]
        failed = [one["validator"] for one in verdicts if not one["passed"]]
        by.update(failed or [LIMITS if verdicts else FAILED])
    return Yield(len(made), len(made.refused), dict(by.most_common()))


def _refuse(made: CohortFile, real: CohortFile) -> None:
    for one in (made, real):
        if not len(one):
            raise CohortFileError(f"{one.path} holds no samples, so there is nothing to compare")
    if not (made.table["source_sample_id"] != "").all():
        raise CohortFileError(f"{made.path} holds real scans; give a file of `qctkit augment`")
    if (real.table["source_sample_id"] != "").any():
        raise CohortFileError(f"{real.path} holds made samples; give --against a real cohort")
    for one in (made, real):
        if set(one.table["unit"].tolist()) != {str(Unit.HU)}:
            raise InputError(
                f"the voxels of {one.path} are a density; the bone band is one of HU, so give the "
                "scans in HU with their calibration beside them"
            )
    if made.window != real.window:
        raise InputError(f"{made.path} and {real.path} have different windows of HU")


def _seen(cohort: CohortFile, title: str, progress: Progress, *, look: bool) -> list[Seen]:
    found = []
    with progress.task(title, len(cohort)) as task:
        for sample in cohort:
            found.append(measure_sample(sample, cohort.window, look=look))
            task.advance(sample.sample_id)
    return found


def _affine(
    seen: Sequence[Seen], made: CohortFile, real: CohortFile, progress: Progress, seed: int
) -> list[Seen]:
    """Return usual augmentation of the same sources, as often as each was used.

    A source that is not among the real scans gives way to the made sample itself.
    """
    found = []
    with progress.task("usual augmentation, to compare", len(seen)) as task:
        for number, one in enumerate(seen):
            known = one.source_id in real.sample_ids
            base = real.load(one.source_id) if known else made.load(one.sample_id)
            sample = augmented(base, np.random.default_rng([seed, number]))
            other = measure_sample(sample, real.window, look=True)
            found.append(
                replace(other, sample_id=one.sample_id, source_id=one.source_id, group=one.group)
            )
            task.advance(one.sample_id)
    return found


def augmented(sample: Sample, generator: np.random.Generator) -> Sample:
    """Return a sample after a random affine map about its femur, with noise added."""
    volume, femur = sample.volume, sample.femur
    hu, mask = affine_and_noise(volume.voxels, femur.voxels, volume.spacing_mm, generator)
    return replace(
        sample,
        volume=volume.with_voxels(hu),
        femur=FemurMask(mask, femur.side, femur.origin),
    )


def _mean_line(cohorts: Sequence[CohortFile]) -> tuple[float, float] | None:
    """Return the mean calibration line, None unless every scan has one of the same material."""
    lines: list[Calibration] = []
    for cohort in cohorts:
        for sample_id in cohort.sample_ids:
            line = cohort.calibration(sample_id)
            if line is None:
                return None
            lines.append(line)
    if len({one.material for one in lines}) > 1:
        return None
    return (
        float(np.mean([one.slope_mg_cm3_per_hu for one in lines])),
        float(np.mean([one.intercept_mg_cm3 for one in lines])),
    )
