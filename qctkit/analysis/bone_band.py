"""The bone band's histogram: its peaks, and how sure they are over subjects.

The source study follows one peak between 0.5 and 0.7 of the window. A femur's histogram may have
several peaks there, or none, and then it is said so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from qctkit.analysis.estimate import Estimate, percentiles, subject_draws
from qctkit.cohort import Record
from qctkit.density import Limits, peaks_hu
from qctkit.geometry import FloatArray

PARTIAL_VOLUME_NOTE = (
    "The study's band, 300 to 820 HU in the default window, holds mostly voxels that are part "
    "cortex and part marrow or muscle. Its peak follows the scanner's blur and the voxel size as "
    "much as bone does: compare trabecular and cortical density first, and peaks only between "
    "scans of one protocol."
)


class Peaks(StrEnum):
    """How many peaks a histogram has in the band."""

    NONE = "none"
    ONE = "one"
    SEVERAL = "several"

    @classmethod
    def of(cls, count: int) -> "Peaks":
        """Return the word for a number of peaks."""
        return cls.NONE if count == 0 else cls.ONE if count == 1 else cls.SEVERAL


@dataclass(frozen=True, eq=False)
class CohortPeak:
    """The peak of a cohort's mean histogram, every subject counting once.

    Attributes:
        state: peaks of the mean histogram: none, one or several.
        peaks_hu: where they are, the highest first.
        highest_hu: the highest with its bootstrap interval over subjects, None if there is none.
            Where draws differ in which peak is the highest, the interval spans them all.
        states_in_draws: share of bootstrap draws with none, one and several.
        samples: number of samples with none, one and several peaks of their own.
        curve, low, high: the mean histogram (share of the femur's voxels a bin) and its 95 % band.
    """

    state: Peaks
    peaks_hu: tuple[float, ...]
    highest_hu: Estimate | None
    states_in_draws: dict[Peaks, float]
    samples: dict[Peaks, int]
    curve: FloatArray
    low: FloatArray
    high: FloatArray

    def record(self) -> Record:
        """Return it as JSON values."""
        return {
            "state": str(self.state),
            "peaks_hu": list(self.peaks_hu),
            "highest_hu": None if self.highest_hu is None else self.highest_hu.record(),
            "states_in_draws": {str(one): share for one, share in self.states_in_draws.items()},
            "samples": {str(one): count for one, count in self.samples.items()},
            "curve": {
                "mean": _rounded(self.curve),
                "low": _rounded(self.low),
                "high": _rounded(self.high),
            },
        }

    @property
    def words(self) -> str:
        """Say where the peak is, or that there is none or more than one."""
        if self.highest_hu is None:
            return f"the mean histogram has no peak in the bone band; {self._own}"
        found = f"peak at {self.highest_hu.words('.0f')} HU"
        if self.state is Peaks.SEVERAL:
            others = ", ".join(f"{one:.0f}" for one in self.peaks_hu[1:])
            found = (
                f"several peaks: the highest at {self.highest_hu.words('.0f')} HU, also {others}"
            )
        return f"{found}; {self._own}"

    @property
    def _own(self) -> str:
        total = sum(self.samples.values())
        counts = ", ".join(f"{count} {state}" for state, count in self.samples.items())
        return f"of {total} samples by themselves: {counts}"


def cohort_peak(
    centres: FloatArray,
    curves: FloatArray,
    limits_hu: Limits,
    groups: NDArray[np.str_],
    seed: int = 0,
) -> CohortPeak:
    """Return the peak of a cohort from its samples' histograms ``(N, B)``."""
    names, place = np.unique(groups, return_inverse=True)
    own = np.stack([curves[place == one].mean(axis=0) for one in range(len(names))])
    mean = own.mean(axis=0)
    drawn = subject_draws(len(names), seed) @ own / len(names)
    found = [peaks_hu(centres, one, limits_hu) for one in drawn]
    tops = np.array([one[0] for one in found if one])
    peaks = peaks_hu(centres, mean, limits_hu)
    highest = None
    if peaks:
        low, high = percentiles(tops) if len(names) > 2 and len(tops) else (None, None)
        highest = Estimate(peaks[0], low, high, len(names))
    return CohortPeak(
        state=Peaks.of(len(peaks)),
        peaks_hu=peaks,
        highest_hu=highest,
        states_in_draws=_shares([len(one) for one in found]),
        samples=_counts([len(peaks_hu(centres, one, limits_hu)) for one in curves]),
        curve=mean,
        low=np.quantile(drawn, 0.025, axis=0),
        high=np.quantile(drawn, 0.975, axis=0),
    )


def _counts(numbers: Sequence[int]) -> dict[Peaks, int]:
    states = [Peaks.of(one) for one in numbers]
    return {one: states.count(one) for one in Peaks}


def _shares(numbers: Sequence[int]) -> dict[Peaks, float]:
    return {one: count / len(numbers) for one, count in _counts(numbers).items()}


def _rounded(values: FloatArray) -> list[float]:
    return [float(f"{one:.5g}") for one in values]
