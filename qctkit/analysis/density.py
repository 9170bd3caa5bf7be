"""The density analysis: before and after, the bone band, and how figures go with attributes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from qctkit.analysis.bone_band import PARTIAL_VOLUME_NOTE, CohortPeak, cohort_peak
from qctkit.analysis.estimate import Estimate, mean_over_subjects, recorded
from qctkit.analysis.measures import (
    CORTICAL,
    MEASURES,
    PEAK,
    TRABECULAR,
    Measure,
    Measured,
)
from qctkit.analysis.relations import LARGE_CORRELATION, Comparison, Relation, compare
from qctkit.cohort import Record
from qctkit.density import peaks_hu
from qctkit.geometry import FloatArray
from qctkit.subject import AGE, SEX, WEIGHT

RELATED = (TRABECULAR, CORTICAL, PEAK)
"""The figures that are followed over weight, age and sex."""

TITLES: Mapping[str, str] = {one.name: one.title for one in MEASURES}
ATTRIBUTE_WORDS = {
    WEIGHT.name: ("weight", "kg"),
    AGE.name: ("age", "year"),
    SEX.name: ("sex", "step from women to men"),
}


@dataclass(frozen=True, eq=False)
class Band:
    """The bone band as a histogram's axis.

    Attributes:
        low, high: as fractions of the window.
        centres_hu: ``(B,)`` bin centres, HU, from below the band to above it.
        window_hu: of the cohort.
        line: mean slope and intercept from HU to mg/cm3; None unless every scan is calibrated.
    """

    low: float
    high: float
    centres_hu: FloatArray
    window_hu: tuple[float, float]
    line: tuple[float, float] | None

    @property
    def limits_hu(self) -> tuple[float, float]:
        """The band in HU."""
        start, end = self.window_hu
        return start + self.low * (end - start), start + self.high * (end - start)

    def record(self) -> Record:
        """Return it as JSON values; mg/cm3 by the mean calibration line."""
        start, end = self.window_hu
        ends = np.array(self.limits_hu)
        return {
            "fraction": [self.low, self.high],
            "hu": ends.tolist(),
            "mg_cm3": self._mg(ends),
            "centres_fraction": ((self.centres_hu - start) / (end - start)).round(5).tolist(),
            "centres_hu": self.centres_hu.tolist(),
            "centres_mg_cm3": self._mg(self.centres_hu),
        }

    def _mg(self, values_hu: FloatArray) -> list[float] | None:
        if self.line is None:
            return None
        slope, intercept = self.line
        return [float(one) for one in (slope * values_hu + intercept).round(2)]


@dataclass(frozen=True)
class MeasureFigures:
    """One measure in real and made samples.

    Attributes:
        real, made: mean over subjects; ``change``: of made samples from their own sources.
    """

    measure: Measure
    real: Estimate | None
    made: Estimate | None
    change: Estimate | None

    def record(self) -> Record:
        """Return it as JSON values."""
        return {
            "name": self.measure.name,
            "title": self.measure.title,
            "unit": self.measure.unit,
            "region": self.measure.region,
            "real": recorded(self.real),
            "made": recorded(self.made),
            "change_from_source": recorded(self.change),
        }


@dataclass(frozen=True, eq=False)
class DensityAnalysis:
    """All that is said of density over a real and a made cohort."""

    band: Band
    measures: tuple[MeasureFigures, ...]
    real_peak: CohortPeak
    made_peak: CohortPeak
    relations: tuple[Comparison, ...]
    real: Measured
    made: Measured

    def record(self) -> Record:
        """Return it as JSON values; see ``qctkit.pipeline.analyse.Analysis.record``."""
        return {
            "band": self.band.record(),
            "measures": [one.record() for one in self.measures],
            "peak": {"real": self.real_peak.record(), "made": self.made_peak.record()},
            "relations": [one.record() for one in self.relations],
            "study": self.study(),
            "notes": [PARTIAL_VOLUME_NOTE],
            "samples": [
                *_sample_records(self.real, self.band, made=False),
                *_sample_records(self.made, self.band, made=True),
            ],
        }

    def study(self) -> Record:
        """Return whether the source study's two findings hold: ``yes``, ``no`` or ``not decided``.

        It saw the peak move right as weight falls, and hardly any relation with age.
        """
        found = {(one.measure, one.attribute): one for one in self.relations}
        weight, age = found[PEAK, WEIGHT.name], found[PEAK, AGE.name]
        return {
            "peak_moves_right_as_weight_falls": {
                "real": _falls(weight.real),
                "made": _falls(weight.made),
            },
            "weak_relation_with_age": {"real": _weak(age.real), "made": _weak(age.made)},
        }

    @property
    def words(self) -> tuple[str, ...]:
        """Say it in sentences, trabecular and cortical density first."""
        shown = [one for one in self.measures if one.measure.name in (TRABECULAR, CORTICAL)]
        changes = [_change_words(one) for one in shown]
        slopes = [words for one in self.relations for words in _relation_words(one)]
        peaks = (
            f"bone band, real: {self.real_peak.words}",
            f"bone band, made: {self.made_peak.words}",
        )
        return (*changes, *slopes, *peaks, *_study_words(self.study()), PARTIAL_VOLUME_NOTE)


def analyse_density(real: Measured, made: Measured, band: Band) -> DensityAnalysis:
    """Return the density analysis of two cohorts that were measured alike."""
    centres, limits = band.centres_hu, band.limits_hu
    return DensityAnalysis(
        band=band,
        measures=tuple(_figures(one, real, made) for one in MEASURES if one.name in real.figures),
        real_peak=cohort_peak(centres, real.histograms, limits, real.groups),
        made_peak=cohort_peak(centres, made.histograms, limits, made.groups),
        relations=tuple(
            compare(measure, attribute, real.rows(measure), made.rows(measure))
            for measure in RELATED
            for attribute in (WEIGHT.name, AGE.name, SEX.name)
        ),
        real=real,
        made=made,
    )


def _figures(measure: Measure, real: Measured, made: Measured) -> MeasureFigures:
    before, after = real.figures[measure.name], made.figures[measure.name]
    row_of = {sample_id: row for row, sample_id in enumerate(real.sample_ids)}
    sources = np.array(
        [before[row_of[one]] if one in row_of else np.nan for one in made.source_ids]
    )
    return MeasureFigures(
        measure,
        mean_over_subjects(before, real.groups),
        mean_over_subjects(after, made.groups),
        mean_over_subjects(after - sources, made.groups),
    )


def _sample_records(measured: Measured, band: Band, *, made: bool) -> list[Record]:
    return [
        {
            "sample_id": sample_id,
            "source_sample_id": measured.source_ids[row] if made else None,
            "subject_id": str(measured.groups[row]),
            "made": made,
            "attributes": {
                name: _plain(column[row]) for name, column in measured.attributes.items()
            },
            "figures": {name: _plain(column[row]) for name, column in measured.figures.items()},
            "histogram": [float(f"{one:.4g}") for one in measured.histograms[row]],
            "peaks_hu": [
                round(one, 1)
                for one in peaks_hu(band.centres_hu, measured.histograms[row], band.limits_hu)
            ],
        }
        for row, sample_id in enumerate(measured.sample_ids)
    ]


def _falls(found: Relation | None) -> str:
    if found is None or not found.slope.excludes(0.0):
        return "not decided"
    return "yes" if found.slope.value < 0 else "no"


def _weak(found: Relation | None) -> str:
    """Say whether a relation is weak: its whole interval below a large correlation."""
    if found is None or found.rank.low is None or found.rank.high is None:
        return "not decided"
    if max(abs(found.rank.low), abs(found.rank.high)) < LARGE_CORRELATION:
        return "yes"
    decided = abs(found.rank.value) >= LARGE_CORRELATION and found.rank.excludes(0.0)
    return "no" if decided else "not decided"


def _change_words(one: MeasureFigures) -> str:
    unit = one.measure.unit
    parts = [
        f"{who} {found.words('.0f')} {unit}"
        for who, found in (("real", one.real), ("made", one.made))
        if found is not None
    ]
    if one.change is not None:
        parts.append(f"change from the source {one.change.words('+.0f')} {unit}")
    return f"{one.measure.title}: {', '.join(parts)}"


def _relation_words(one: Comparison) -> list[str]:
    name, unit = ATTRIBUTE_WORDS[one.attribute]
    title = f"{TITLES[one.measure]} against {name}"
    parts = [
        f"{who} {found.slope.words('+.2f')} HU per {unit}, rank correlation "
        f"{found.rank.words('+.2f')}"
        for who, found in (("real", one.real), ("made", one.made))
        if found is not None
    ]
    if not parts:
        return [f"{title}: too few subjects with all attributes known"]
    if one.p_equal is not None:
        differ = "slopes differ" if one.p_equal < 0.05 else "no difference of slopes shown"
        parts.append(f"{differ} (p {one.p_equal:.2g})")
    return [f"{title}: {'; '.join(parts)}"]


def _study_words(study: Record) -> list[str]:
    said = {
        "peak_moves_right_as_weight_falls": "the peak moves right as weight falls",
        "weak_relation_with_age": "its relation with age is weak",
    }
    return [
        f"the study's finding that {words}: real {study[name]['real']}, made {study[name]['made']}"
        for name, words in said.items()
    ]


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
