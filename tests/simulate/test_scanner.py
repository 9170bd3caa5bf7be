import numpy as np
import pytest

from qctkit.simulate import SimulationSettings, draw_person
from qctkit.simulate.scanner import CALIBRATION, FWHM_PER_SIGMA, blur, hu_of, noise


def test_true_hu_are_the_calibration_line_backwards():
    density = np.array([-30.0, 0.0, 160.0, 1100.0], dtype=np.float32)
    np.testing.assert_allclose(CALIBRATION.density_mg_cm3(hu_of(density)), density, atol=1e-3)


@pytest.mark.parametrize("spacing_mm", [(2.0, 1.0, 1.0), (3.0, 0.7, 1.6)])
def test_noise_has_unit_deviation_and_a_grain_in_plane(spacing_mm):
    settings = SimulationSettings(spacing_mm)
    values = noise(draw_person(0, 0), settings)
    assert values.std() == pytest.approx(1.0, rel=0.02)
    assert abs(values.mean()) < 0.01
    neighbours = np.mean(values[:, 1:] * values[:, :-1])
    assert neighbours > 0.1


def test_noise_is_the_individuals_own():
    settings = SimulationSettings((4.0, 2.0, 2.0))
    first, again, other = (noise(draw_person(0, i), settings) for i in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.05


def test_a_voxel_and_the_blur_make_up_the_stated_width():
    settings = SimulationSettings((1.0, 0.5, 0.5), (41.0, 20.5, 20.5))
    points = np.zeros(settings.geometry.shape, np.float32)
    middle = tuple(n // 2 for n in points.shape)
    points[middle] = 1.0
    spread = blur(points, settings)
    profile = spread[middle[0], middle[1]]
    position = 0.5 * (np.arange(profile.size) - middle[2])
    variance = (profile * position**2).sum() / profile.sum() + 0.5**2 / 12
    assert FWHM_PER_SIGMA * np.sqrt(variance) == pytest.approx(1.8, rel=0.03)
