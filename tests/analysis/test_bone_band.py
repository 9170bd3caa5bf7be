from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from qctkit.analysis.bone_band import Peaks, cohort_peak
from qctkit.analysis.relations import Rows, relation
from qctkit.density import band_histogram, peaks_hu
from qctkit.simulate import SimulationSettings, draw_person, simulate_person

LIMITS = (300.0, 820.0)


def _values(*middles: float, seed: int = 0) -> NDArray[np.float64]:
    """Return marrow, and a mode of bone at each middle."""
    random = np.random.default_rng(seed)
    modes = [random.normal(middle, 50.0, 4000) for middle in middles]
    return np.concatenate([random.normal(40.0, 60.0, 20000), *modes])


def _peaks(values: NDArray[np.float64]) -> tuple[float, ...]:
    return peaks_hu(*band_histogram(values, LIMITS), LIMITS)


def _cohort(middles: Sequence[Sequence[float]], each: int = 1) -> tuple[object, ...]:
    curves, groups = [], []
    for number, some in enumerate(middles):
        for copy in range(each):
            centres, curve = band_histogram(_values(*some, seed=number + 100 * copy), LIMITS)
            curves.append(curve)
            groups.append(f"S{number}")
    return centres, np.stack(curves), LIMITS, np.array(groups)


def test_a_cohorts_peak_has_an_interval_over_subjects_not_scans() -> None:
    middles = [[520.0 + 15.0 * one] for one in range(8)]
    found = cohort_peak(*_cohort(middles))
    assert found.state is Peaks.ONE
    assert found.highest_hu is not None
    assert not found.highest_hu.excludes(572.0)
    assert found.samples[Peaks.ONE] == 8
    more = cohort_peak(*_cohort(middles, each=3))
    assert more.highest_hu is not None
    widths = [float(one.high) - float(one.low) for one in (found.highest_hu, more.highest_hu)]
    assert widths[1] == pytest.approx(widths[0], rel=0.3)


def test_several_peaks_and_none_are_said_so() -> None:
    several = cohort_peak(*_cohort([[400.0, 700.0]] * 5))
    assert several.state is Peaks.SEVERAL
    assert "several peaks" in several.words
    none = cohort_peak(*_cohort([[]] * 5))
    assert none.state is Peaks.NONE
    assert none.highest_hu is None
    assert none.states_in_draws[Peaks.NONE] == 1.0


@pytest.fixture(scope="module")
def old_femur() -> NDArray[np.float64]:
    """Return the HU of a simulated femur whose one peak lies in the middle of the band."""
    sample = simulate_person(draw_person(900, 8), SimulationSettings((4.0, 3.0, 3.0)))
    return sample.volume.voxels[sample.femur.voxels].astype(np.float64)


@pytest.mark.parametrize("slope", [-1.5, 0.0, 1.5])
def test_a_relation_planted_in_a_simulated_femur_is_recovered(
    old_femur: NDArray[np.float64], slope: float
) -> None:
    """Every person has the voxels of one old femur, moved by what their weight plants."""
    random = np.random.default_rng(1)
    weight, age = random.uniform(50, 95, 24), random.uniform(50, 90, 24)
    shifts = slope * (weight - 72.0) - 0.5 * (age - 70.0) + random.normal(0, 15.0, 24)
    peaks = np.array([_peaks(old_femur + shift)[0] for shift in shifts])
    attributes = {"age_years": age, "weight_kg": weight}
    found = relation(Rows(peaks, attributes, np.arange(24).astype(str)), "weight_kg")
    assert found is not None
    assert found.slope.value == pytest.approx(slope, abs=0.6)
    assert not found.slope.excludes(slope)
    assert found.slope.excludes(0.0) is (slope != 0.0)
