import numpy as np
import pytest
from scipy import ndimage

from qctkit.engine.noise import noise_level_hu, without_noise

SHAPE = (12, 96, 96)


def _noise(sigma_hu: float) -> np.ndarray:
    """Return noise whose power rises with frequency and falls off again, as in CT."""
    white = np.random.default_rng(0).standard_normal(SHAPE)
    fine, coarse = (ndimage.gaussian_filter(white, (0, s, s)) for s in (0.6, 2.0))
    grain = fine - 0.9 * coarse
    return (sigma_hu * grain / grain.std()).astype(np.float32)


def _tissue() -> np.ndarray:
    """Return muscle with a sheet of fat 2 voxels wide, and bone."""
    hu = np.full(SHAPE, 50.0, dtype=np.float32)
    hu[:, 40:42] = -100.0
    hu[:, 70:, 60:] = 600.0
    return hu


def _power(field: np.ndarray) -> np.ndarray:
    """Return the power of a field in bands of frequency, those of ten voxels and finer."""
    power = (np.abs(np.fft.fft2(field)) ** 2).mean(axis=0)
    rows, columns = (np.fft.fftfreq(n) for n in field.shape[1:])
    band = np.digitize(np.hypot(rows[:, None], columns[None]), np.arange(0.1, 0.51, 0.1))
    return np.array([power[band == number].mean() for number in range(1, 5)])


@pytest.mark.parametrize("sigma_hu", [10.0, 25.0])
def test_the_noise_level_is_found_beside_edges(sigma_hu: float) -> None:
    level = noise_level_hu(_tissue() + _noise(sigma_hu))
    assert np.median(level) == pytest.approx(sigma_hu, rel=0.2)


def test_the_noise_level_follows_where_the_noise_is() -> None:
    growing = np.linspace(10.0, 30.0, SHAPE[2], dtype=np.float32)
    level = noise_level_hu(np.float32(50.0) + growing * _noise(1.0))
    assert level[..., :16].mean() < 0.75 * level[..., -16:].mean()


def test_a_scan_without_soft_tissue_has_a_level_too() -> None:
    level = noise_level_hu(np.full(SHAPE, -1000.0, dtype=np.float32))
    assert np.isfinite(level).all()


def test_what_is_taken_away_has_the_noises_spectrum() -> None:
    noise = _noise(20.0)
    hu = np.float32(50.0) + noise
    taken = hu - without_noise(hu)
    np.testing.assert_allclose(_power(taken) / _power(noise), 1.0, atol=0.1)


def test_what_is_taken_away_holds_no_edges() -> None:
    hu = _tissue() + _noise(20.0)
    error = without_noise(hu) - _tissue()
    sheet, bone = error[:, 38:44, 5:-5], error[:, 72:-5, 58:62]
    assert np.abs(sheet.mean(axis=(0, 2))).max() < 15.0  # of 150 HU
    assert np.abs(bone.mean(axis=(0, 1))).max() < 10.0  # of 550 HU


def test_slices_tell_fine_sheets_from_noise() -> None:
    # What is taken for noise stays behind as a ghost where the tissue moves away; within slices
    # alone it would be 0.8 of such sheets.
    sheets = np.zeros(SHAPE, dtype=np.float32)
    sheets[:, 10:90:8, 5:-5] = -60.0  # one voxel, a third fat
    hu = np.float32(50.0) + sheets + _noise(16.0)
    taken = hu - without_noise(hu)
    left_behind = np.polyfit(sheets.ravel(), taken.ravel(), 1)[0]
    assert left_behind < 0.65
