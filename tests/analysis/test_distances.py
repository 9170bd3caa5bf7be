import numpy as np
import pytest

from qctkit.analysis.distances import Standard, cover, frechet, kernel_distance
from qctkit.analysis.nearest import nearest

RANDOM = np.random.default_rng(0)
CLOUD = RANDOM.normal(size=(60, 6))


def test_a_set_is_at_no_frechet_distance_from_itself() -> None:
    assert frechet(CLOUD, CLOUD) == pytest.approx(0.0, abs=1e-6)


def test_a_shift_adds_its_square_to_the_frechet_distance() -> None:
    assert frechet(CLOUD, CLOUD + 0.5) == pytest.approx(6 * 0.25, abs=1e-6)


def test_the_kernel_distance_is_zero_on_average_for_one_population() -> None:
    draws = [kernel_distance(*RANDOM.normal(size=(2, 20, 6))) for _ in range(300)]
    assert np.mean(draws) == pytest.approx(0.0, abs=3 * np.std(draws) / np.sqrt(300))
    assert kernel_distance(CLOUD, CLOUD + 1.0) > 10 * np.std(draws)


def test_two_halves_of_one_population_cover_each_other() -> None:
    found = cover(CLOUD[:30], CLOUD[30:])
    assert found.precision > 0.8
    assert found.recall > 0.8
    assert found.coverage > 0.8
    assert found.diversity == pytest.approx(1.0, abs=0.15)


def test_samples_that_are_all_alike_are_plausible_but_not_diverse() -> None:
    alike = CLOUD[:1] * 0.1 + 0.01 * RANDOM.normal(size=(30, 6))
    found = cover(CLOUD[:30], alike)
    assert found.precision == 1.0
    assert found.recall == 0.0
    assert found.diversity < 0.05


def test_samples_far_off_are_not_plausible() -> None:
    found = cover(CLOUD[:30], CLOUD[30:] + 20.0)
    assert (found.precision, found.density, found.coverage) == (0.0, 0.0, 0.0)


def test_a_feature_that_never_varies_does_no_harm() -> None:
    flat = np.concatenate([CLOUD, np.ones((60, 1))], axis=1)
    assert np.isfinite(Standard.of(flat)(flat)).all()


def test_a_copy_lies_on_its_source_and_the_nearest_other_is_another_person() -> None:
    groups = np.array([f"S{one}" for one in range(60)])
    found = nearest(CLOUD, CLOUD[:3], groups, groups[:3], [0, 1, None])
    assert found.to_source[:2] == pytest.approx([0.0, 0.0])
    assert np.isnan(found.to_source[2])
    assert all(other != row for row, other in enumerate(found.other))
    assert found.to_other == pytest.approx(found.real_to_other[:3])
