"""What is measured of a femur, and the table of it over samples."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qctkit.analysis.relations import Rows
from qctkit.geometry import FloatArray

REGIONS = ("head", "neck", "trochanter", "shaft")
CORTEX_SITES = ("neck_superior", "neck_inferior", "shaft")
PEAK = "bone_band_peak_hu"
TRABECULAR, CORTICAL = "trabecular_hu", "cortical_hu"


@dataclass(frozen=True)
class Measure:
    """One figure of a femur: its name in files, a title for people, unit and region."""

    name: str
    title: str
    unit: str
    region: str


def _measures() -> Iterator[Measure]:
    for unit, word in (("HU", "hu"), ("mg/cm3", "mg_cm3")):
        yield Measure(f"trabecular_{word}", "trabecular density", unit, "femur")
        yield Measure(f"cortical_{word}", "cortical density", unit, "femur")
    for region in REGIONS:
        yield Measure(f"trabecular_{region}_hu", f"trabecular density, {region}", "HU", region)
        yield Measure(f"cortical_{region}_hu", f"cortical density, {region}", "HU", region)
    yield Measure("volume_cm3", "volume of the mask", "cm3", "femur")
    for region in REGIONS:
        yield Measure(f"volume_{region}_cm3", f"volume, {region}", "cm3", region)
    for site in CORTEX_SITES:
        title = f"cortical thickness, {site.replace('_', ' ')}"
        yield Measure(f"cortical_thickness_{site}_mm", title, "mm", site.split("_")[0])
    yield Measure("bone_band_share", "share of the femur in the bone band", "", "femur")
    yield Measure(PEAK, "highest peak in the bone band", "HU", "femur")
    yield Measure("bone_band_peak_mg_cm3", "highest peak in the bone band", "mg/cm3", "femur")


MEASURES = tuple(_measures())
"""Trabecular and cortical density first. Figures in mg/cm3 are there where every scan of both
cohorts is calibrated; regional ones where the scan shows the region."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Samples in order with what was measured of each.

    Attributes:
        sample_ids: ``(N,)``.
        source_ids: the sample each was made from; its own id for a real one.
        groups: who was scanned; for a made sample the subject of its source.
        attributes: labels ``(N,)`` by name, NaN where not known.
        figures: ``(N,)`` by name of ``MEASURES``, NaN where not known.
        histograms: ``(N, B)`` smoothed shares of the femur in bins of the bone band and about it.
    """

    sample_ids: tuple[str, ...]
    source_ids: tuple[str, ...]
    groups: NDArray[np.str_]
    attributes: Mapping[str, FloatArray]
    figures: Mapping[str, FloatArray]
    histograms: FloatArray

    def rows(self, measure: str) -> Rows:
        """Return one figure with labels and subjects."""
        return Rows(self.figures[measure], self.attributes, self.groups)

    def __len__(self) -> int:
        return len(self.sample_ids)
