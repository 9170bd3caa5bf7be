import numpy as np
import pytest

from qctkit.cohort import FemurMask, MaskOrigin, Side
from qctkit.density import DensityFigures, band_peak_hu, density_reference, measure_density
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
    assert figures.bone_band_peak_hu is None


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


@pytest.mark.parametrize("planted", [400.0, 560.0, 750.0])
def test_a_peak_is_found_where_it_was_planted(planted: float) -> None:
    values = np.random.default_rng(0).normal(planted, 40.0, 50_000)
    assert band_peak_hu(values, BAND_HU) == pytest.approx(planted, abs=20.0)


def test_a_histogram_that_only_falls_has_no_peak() -> None:
    values = np.random.default_rng(0).exponential(300.0, 2_000_000)
    assert band_peak_hu(values, BAND_HU) is None


@pytest.mark.parametrize("outside", [250.0, 900.0])
def test_a_peak_outside_the_band_is_none(outside: float) -> None:
    assert band_peak_hu(np.random.default_rng(0).normal(outside, 10.0, 9999), BAND_HU) is None


def _planted(count: int, slope: float) -> tuple[list[Subject], list[DensityFigures]]:
    generator = np.random.default_rng(1)
    ages, weights = generator.uniform(40, 90, count), generator.uniform(45, 100, count)
    subjects = [
        Subject(f"P{i}", Sex.M if i % 2 else Sex.F, float(a), float(w))
        for i, (a, w) in enumerate(zip(ages, weights, strict=True))
    ]
    figures = [DensityFigures(400 + slope * a, 900 + 2 * w, 0.1, None)
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
    figures = [DensityFigures(400.0 - i, 900.0, 0.1, None) for i in range(20)]
    assert density_reference(subjects, figures).trabecular_hu.used == ("age_years",)
