"""What the page shows, gathered before a line of it is written."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from qctkit.calibration import CohortScale
from qctkit.cohort import Record
from qctkit.subject import Subject
from qctkit.window import Window

Array: TypeAlias = NDArray[np.float64]

DENSITIES = {
    "trabecular_hu": "trabecular density",
    "cortical_hu": "cortical density",
    "bone_band_share": "share of the femur in the bone band",
    "bone_band_peak_hu": "highest peak in the bone band",
    "femur_ml": "volume of the femur",
}
"""What is measured of every scan, in words."""


@dataclass(frozen=True, eq=False)
class MeasuredScan:
    """One scan, real or made, with what was measured of its voxels.

    Attributes:
        sample_id: its name in the cohort file.
        subject: whom its labels describe.
        figures: by name as in ``DENSITIES``; NaN where there is none, such as no peak.
        peaks_hu: of its histogram in the bone band, the highest first.
        histogram: share of the femur's voxels in each bin of the bone band and about it ``(B,)``.
        thumbnail: a coronal slice, as a data address.
        spacing_mm: of its voxels, along the array's axes.
    """

    sample_id: str
    subject: Subject
    figures: Mapping[str, float]
    peaks_hu: Sequence[float]
    histogram: Array
    thumbnail: str
    spacing_mm: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class MadeScan:
    """One made sample beside its source.

    Attributes:
        scan, source: what was measured of both.
        record: how it was made, as stored.
        changed_outside: voxels outside the stated region that differ from the source's.
        change_hu: mean size of the change of the femur's voxels, HU.
        spreads: of trabecular and cortical density, how many residual spreads they lie from the
            line of real subjects on sex, age and weight.
        noise: power in even soft tissue over the source's, by grain; empty where hardly any of it
            changed.
        noise_in_femur: share of that tissue that lies in the femur: marrow and thin bone.
        strains: by validator, how much of what it tolerates is used up; 1 is the limit.
    """

    scan: MeasuredScan
    source: MeasuredScan
    record: Record
    changed_outside: int
    change_hu: float
    spreads: Mapping[str, float]
    noise: Mapping[str, float]
    noise_in_femur: float
    strains: Mapping[str, float]

    @property
    def strain(self) -> float:
        """The nearest that any validator came to refusing it; 1 is the limit."""
        return max(self.strains.values(), default=0.0)

    @property
    def closest_call(self) -> str:
        """The validator that came nearest to refusing it, empty where none has a limit."""
        return max(self.strains, key=lambda name: self.strains[name], default="")


@dataclass(frozen=True, eq=False)
class ReportFacts:
    """Everything that the page says, the CSV lists and the JSON holds.

    Attributes:
        run: what made the file.
        window: of the real cohort.
        scale: what the scans' HU mean.
        spreads: of each real scan, as those of a made one.
        bins_hu: centres of the histograms' bins ``(B,)``.
        peaks: of the mean histogram of ``real`` and of ``made`` scans, with what is known of them,
            as ``qctkit.analysis.bone_band.CohortPeak.record`` gives it.
        real, made: the scans.
        refused: records of refused candidates.
        made_path, real_path: as the user gave them, for the commands that the page shows.
        made_fingerprint: names exactly these samples.
        analysis: figures of the cohorts' comparison, None where it was not made.
        readings: result of a blinded reading, None where there was none.
    """

    run: Record
    window: Window
    scale: CohortScale
    spreads: Sequence[Mapping[str, float]]
    bins_hu: Array
    peaks: Mapping[str, Record]
    real: Sequence[MeasuredScan]
    made: Sequence[MadeScan]
    refused: Sequence[Record]
    made_path: Path
    real_path: Path
    made_fingerprint: str
    analysis: Record | None = None
    readings: Record | None = None

    @property
    def unit(self) -> str:
        """Unit of the voxels, HU as a rule."""
        return str(self.scale.unit)

    @property
    def candidates(self) -> int:
        """How many were tried."""
        return len(self.made) + len(self.refused)

    @property
    def subjects(self) -> int:
        """How many people the real scans are of."""
        return len({one.subject.subject_id for one in self.real})

    @property
    def sources(self) -> int:
        """How many people the made samples were made from."""
        return len({one.source.subject.subject_id for one in self.made})

    @property
    def carried(self) -> tuple[str, ...]:
        """Attributes that samples were changed to reach."""
        return tuple(one["attribute"] for one in self.run["carrying"] if one["carried"])

    def reasons(self) -> list[tuple[str, int]]:
        """Return how many candidates each validator, or the edit's own limits, refused.

        A candidate that several refused counts for the first of them, so that the sum is right.
        """
        counts: Counter[str] = Counter()
        for record in self.refused:
            failed = [one["validator"] for one in record["verdicts"] if not one["passed"]]
            counts[failed[0] if failed else "the edit's limits"] += 1
        return counts.most_common()
