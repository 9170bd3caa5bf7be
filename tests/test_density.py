import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage, signal

from qctkit.cohort import FemurMask, MaskOrigin, Side
from qctkit.density import (
    DensityFigures,
    band_histogram,
    density_reference,
    measure_density,
    peaks_hu,
    peaks_in_words,
)
from qctkit.geometry import Geometry
from qctkit.subject import Sex, Subject
from qctkit.volume import Volume

BAND_HU = (300.0, 820.0)


def _shells() -> tuple[Volume, FemurMask]:
    """Return a ball of 20 mm: 200 HU inside, 1000 HU in its outer 4 mm, 40 HU around it."""
    d, h, w = np.indices((46, 46, 46)) - 22.5
    radius = np.sqrt(d**2 + h**2 + w**2)
    hu = np.select([radius < 16.0, radius < 20.0], [200, 1000], 40)
    geometry = Geometry.from_spacing(hu.shape, (1.0, 1.0, 1.0))
    return Volume(hu, geometry), FemurMask(radius < 20.0, Side.LEFT, MaskOrigin.GIVEN)


def test_known_shells_give_known_figures() -> None:
    figures = measure_density(*_shells())
    assert figures.trabecular_hu == pytest.approx(200.0, abs=5.0)
    assert figures.cortical_hu == pytest.approx(1000.0, abs=0.1)
    assert figures.bone_band_share == 0.0
    assert figures.bone_band_peaks_hu == ()


def test_depth_is_measured_in_millimetres_not_voxels() -> None:
    volume, femur = _shells()
    coarse = Volume(
        volume.voxels[::2], Geometry.from_spacing((23, 46, 46), (2.0, 1.0, 1.0)), volume.unit
    )
    thinned = FemurMask(femur.voxels[::2], femur.side, femur.origin)
    figures = measure_density(coarse, thinned)
    assert figures.trabecular_hu == pytest.approx(200.0, abs=15.0)
    assert figures.cortical_hu == pytest.approx(1000.0, abs=15.0)


def test_a_thin_mask_gives_the_mean_of_its_deepest_voxels() -> None:
    mask = np.zeros((5, 5, 5), dtype=bool)
    mask[1:4, 1:4, 1:4] = True
    hu = np.where(mask, 500, 0)
    hu[2, 2, 2] = 100
    volume = Volume(hu, Geometry.from_spacing((5, 5, 5), (1.0, 1.0, 1.0)))
    figures = measure_density(volume, FemurMask(mask, Side.LEFT, MaskOrigin.GIVEN))
    assert figures.trabecular_hu == 100.0


def _values(*middles: float) -> NDArray[np.float64]:
    """Return marrow, and a mode of bone at each middle."""
    random = np.random.default_rng(0)
    modes = [random.normal(middle, 50.0, 4000) for middle in middles]
    return np.concatenate([random.normal(40.0, 60.0, 20000), *modes])


def _peaks(values: NDArray[np.float64]) -> tuple[float, ...]:
    return peaks_hu(*band_histogram(values, BAND_HU), BAND_HU)


@pytest.mark.parametrize("middle", [340.0, 500.0, 790.0])
def test_one_mode_is_one_peak_where_it_lies(middle: float) -> None:
    assert _peaks(_values(middle)) == pytest.approx((middle,), abs=10.0)


def test_several_modes_are_several_peaks_the_highest_first() -> None:
    found = _peaks(_values(400.0, 650.0, 650.0))
    assert found == pytest.approx((650.0, 400.0), abs=15.0)


@pytest.mark.parametrize("middle", [250.0, 880.0])
def test_a_mode_outside_the_band_is_no_peak_of_it(middle: float) -> None:
    assert _peaks(_values(middle)) == ()


def test_a_ripple_on_a_slope_is_no_peak() -> None:
    """A local maximum that stands out by less than a tenth of the band's highest value."""
    centres, _ = band_histogram(np.zeros(0), BAND_HU)
    slope = np.linspace(1.0, 0.2, len(centres))
    ripple = 0.03 * np.exp(-(((centres - 560.0) / 20.0) ** 2))
    curve = slope + ripple
    assert (np.diff(np.sign(np.diff(curve))) < 0).any()
    assert peaks_hu(centres, curve, BAND_HU) == ()
    assert peaks_hu(centres, slope + 10 * ripple, BAND_HU) == pytest.approx((560.0,), abs=15.0)


def test_prominence_is_what_scipy_calls_so() -> None:
    random = np.random.default_rng(0)
    centres, _ = band_histogram(np.zeros(0), BAND_HU)
    found = 0
    for _ in range(200):
        curve = ndimage.gaussian_filter1d(random.random(len(centres)), 3.0)
        band = (centres >= BAND_HU[0]) & (centres <= BAND_HU[1])
        places, _ = signal.find_peaks(curve, prominence=0.1 * curve[band].max())
        expected = sorted(places[band[places]], key=lambda one: -curve[one])
        assert peaks_hu(centres, curve, BAND_HU) == pytest.approx(tuple(centres[expected]), abs=5.0)
        found += len(expected)
    assert found > 200


@pytest.mark.parametrize(
    ("middles", "words"),
    [((), "no peak"), ((500.0,), "one peak at"), ((400.0, 650.0), "2 peaks, the highest at")],
)
def test_none_one_and_several_peaks_are_said(middles: tuple[float, ...], words: str) -> None:
    found = DensityFigures(200.0, 600.0, 0.1, _peaks(_values(*middles)))
    assert peaks_in_words(found).startswith(words)
    assert (found.bone_band_peak_hu is None) == (not middles)


def _planted(count: int, slope: float) -> tuple[list[Subject], list[DensityFigures]]:
    generator = np.random.default_rng(1)
    ages, weights = generator.uniform(40, 90, count), generator.uniform(45, 100, count)
    subjects = [
        Subject(f"P{i}", Sex.M if i % 2 else Sex.F, float(a), float(w))
        for i, (a, w) in enumerate(zip(ages, weights, strict=True))
    ]
    figures = [DensityFigures(400 + slope * a, 900 + 2 * w, 0.1, ())
               for a, w in zip(ages, weights, strict=True)]  # fmt: skip
    return subjects, figures


def test_the_reference_line_recovers_a_planted_slope() -> None:
    reference = density_reference(*_planted(40, -3.0))
    young, old = Subject("y", Sex.F, 50.0, 70.0), Subject("o", Sex.F, 80.0, 70.0)
    line = reference.trabecular_hu
    assert line.predict(old) - line.predict(young) == pytest.approx(-90.0, abs=1e-6)
    assert line.predict(young) == pytest.approx(250.0, abs=1e-6)
    assert line.residual_sd == pytest.approx(0.0, abs=1e-6)
    assert reference.subjects == 40


def test_a_missing_attribute_counts_as_the_cohorts_mean() -> None:
    subjects, figures = _planted(40, -3.0)
    line = density_reference(subjects, figures).trabecular_hu
    mean = float(np.mean([one.age_years for one in subjects]))
    assert line.predict(Subject("x")) == pytest.approx(400.0 - 3.0 * mean)


def test_few_subjects_give_the_mean_alone() -> None:
    subjects, figures = _planted(5, -3.0)
    line = density_reference(subjects, figures).trabecular_hu
    assert line.used == ()
    expected = np.mean([one.trabecular_hu for one in figures])
    assert line.predict(subjects[0]) == pytest.approx(expected)


def test_an_attribute_that_does_not_vary_is_left_out() -> None:
    subjects = [Subject(f"P{i}", Sex.F, 40.0 + i, 70.0) for i in range(20)]
    figures = [DensityFigures(400.0 - i, 900.0, 0.1, ()) for i in range(20)]
    assert density_reference(subjects, figures).trabecular_hu.used == ("age_years",)
