"""Noise, texture and usual augmentation."""

import numpy as np
import pytest
from scipy import ndimage

from qctkit.analysis.affine import affine_and_noise
from qctkit.analysis.noise import measure_noise, power_ratio
from qctkit.analysis.texture import TEXTURE_NAMES, texture_features
from qctkit.cohort import Sample

SHAPE = (12, 48, 48)
WHITE = 40.0 + 15.0 * np.random.default_rng(0).standard_normal(SHAPE)


def test_white_noise_has_a_flat_spectrum_and_its_neighbours_are_not_alike() -> None:
    found = measure_noise(WHITE)
    assert found.power[1:] == pytest.approx(found.power[1:].mean(), rel=0.1)
    assert abs(found.autocorrelation[0]) < 0.08
    assert abs(found.between_slices) < 0.1


def test_blurred_noise_loses_fine_power_and_its_neighbours_are_alike() -> None:
    blurred = 40.0 + ndimage.gaussian_filter(WHITE - 40.0, (0, 0.8, 0.8))
    found = measure_noise(blurred)
    assert found.power[3] < 0.3 * found.power[0]
    assert found.autocorrelation[0] > 0.4


def test_noise_shared_between_slices_is_seen() -> None:
    shared = 40.0 + ndimage.gaussian_filter1d(WHITE - 40.0, 1.0, axis=0)
    assert measure_noise(shared).between_slices > 0.5


def test_a_scan_without_soft_tissue_has_no_noise_figures() -> None:
    assert np.isnan(measure_noise(WHITE + 500.0).power).all()


def test_twice_the_noise_is_four_times_the_power() -> None:
    one = np.stack([measure_noise(40.0 + 15.0 * _white(seed)).power for seed in range(5)])
    other = np.stack([measure_noise(40.0 + 30.0 * _white(seed)).power for seed in range(5, 10)])
    names = np.array([f"S{one}" for one in range(10)])
    for ratio in power_ratio(other, one, names[5:], names[:5]):
        assert ratio.value == pytest.approx(4.0, rel=0.1)
        assert not ratio.excludes(4.0)


def test_texture_in_one_layer_shows_in_that_layer_alone() -> None:
    depth = np.linspace(-14, 20, SHAPE[2])[None, None, :] * np.ones(SHAPE)
    smooth = 40.0 + 0.1 * (WHITE - 40.0)
    rough = np.where(depth > 5.0, WHITE, smooth)
    before, after = texture_features(smooth, depth), texture_features(rough, depth)
    name = "core_roughness_log_hu"
    assert after[TEXTURE_NAMES.index(name)] > before[TEXTURE_NAMES.index(name)] + 1.0
    around = [row for row, one in enumerate(TEXTURE_NAMES) if one.startswith("around")]
    assert after[around] == pytest.approx(before[around])
    assert len(before) == len(TEXTURE_NAMES)


def test_usual_augmentation_moves_the_femur_and_adds_noise(sample: Sample) -> None:
    volume, femur = sample.volume, sample.femur.voxels
    made = [
        affine_and_noise(volume.voxels, femur, volume.spacing_mm, np.random.default_rng(7))
        for _ in range(2)
    ]
    (hu, mask), (again, _) = made
    assert np.array_equal(hu, again)
    assert 0.9**3 * 0.95 < mask.sum() / femur.sum() < 1.1**3 * 1.05
    assert not np.array_equal(mask, femur)
    assert hu[mask].mean() == pytest.approx(volume.voxels[femur].mean(), rel=0.1)


def _white(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(SHAPE)
