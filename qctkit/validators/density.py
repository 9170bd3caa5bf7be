"""``density``: is this the bone density of a real subject with these attributes?"""

from dataclasses import dataclass

from qctkit.contracts import Candidate, Verdict
from qctkit.density import (
    DensityFigures,
    DensityLine,
    DensityReference,
    measure_density,
    peaks_in_words,
)
from qctkit.subject import Subject

SPREADS_ALLOWED = 2.5
"""Residual spreads from the cohort's line that a real subject of these attributes may lie."""

GROWTH_ALLOWED = 0.5
"""Spreads by which a source that is unusual itself may become more so [A]: the cohort's line has
an error of its own at the attributes asked for, and people answer to them differently."""


@dataclass(frozen=True)
class Density:
    """Trabecular and cortical density within the spread of real subjects of these attributes.

    A source that is itself unusual keeps its own distance from the line: what is judged is the
    candidate's distance, or its growth where the source was near the limit or outside already.
    """

    name: str = "density"
    limits: str = (
        f"trabecular and cortical density within {SPREADS_ALLOWED:g} residual spreads of real "
        f"subjects of these attributes, or no more than {GROWTH_ALLOWED:g} further than the source"
    )

    def judge(self, candidate: Candidate, reference: DensityReference) -> Verdict:
        """Return the verdict on density, with the bone band's share and peak beside it."""
        before = measure_density(candidate.source.volume, candidate.source.femur)
        after = measure_density(candidate.volume, candidate.femur)
        source, label = candidate.source.subject, candidate.label
        trabecular = _excess(reference.trabecular_hu, after.trabecular_hu, label)
        cortical = _excess(reference.cortical_hu, after.cortical_hu, label)
        allowed_trabecular = _allowed(reference.trabecular_hu, before.trabecular_hu, source)
        allowed_cortical = _allowed(reference.cortical_hu, before.cortical_hu, source)
        figures = {
            "trabecular_before_hu": before.trabecular_hu,
            "trabecular_after_hu": after.trabecular_hu,
            "trabecular_spreads_from_line": trabecular,
            "cortical_before_hu": before.cortical_hu,
            "cortical_after_hu": after.cortical_hu,
            "cortical_spreads_from_line": cortical,
            "bone_band_share_before": before.bone_band_share,
            "bone_band_share_after": after.bone_band_share,
        }
        for name, one in (("before", before), ("after", after)):
            figures[f"bone_band_peaks_{name}"] = float(len(one.bone_band_peaks_hu))
            if one.bone_band_peak_hu is not None:
                figures[f"bone_band_peak_{name}_hu"] = one.bone_band_peak_hu
        return Verdict(
            self.name,
            trabecular <= allowed_trabecular and cortical <= allowed_cortical,
            figures,
            f"trabecular {before.trabecular_hu:.0f} to {after.trabecular_hu:.0f} HU, "
            f"{trabecular:.1f} spreads from real subjects of these attributes (at most "
            f"{allowed_trabecular:.1f}); cortical {before.cortical_hu:.0f} to "
            f"{after.cortical_hu:.0f} HU, {cortical:.1f} (at most {allowed_cortical:.1f}); "
            f"bone band {before.bone_band_share:.0%} to {after.bone_band_share:.0%} of the femur, "
            f"with {_peaks(before, after)}",
        )


def _peaks(before: DensityFigures, after: DensityFigures) -> str:
    if not before.bone_band_peaks_hu and not after.bone_band_peaks_hu:
        return "no peak before or after"
    return f"{peaks_in_words(before)} before, {peaks_in_words(after)} after"


def _excess(line: DensityLine, value: float, subject: Subject) -> float:
    """Return how many residual spreads a value lies from the line."""
    return abs(value - line.predict(subject)) / max(line.residual_sd, 1e-6)


def _allowed(line: DensityLine, source_value: float, source: Subject) -> float:
    return max(SPREADS_ALLOWED, _excess(line, source_value, source) + GROWTH_ALLOWED)
