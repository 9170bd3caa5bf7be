import numpy as np
import pytest

from qctkit.simulate.solids import (
    Points,
    ellipse,
    ellipsoid,
    occupancy,
    smooth_union,
    sphere,
    tapered_capsule,
)

AXIS = np.linspace(-20, 20, 81, dtype=np.float32)
GRID = Points(AXIS[None, None, :], AXIS[None, :, None], AXIS[:, None, None])
CELL_MM3 = 0.5**3


def volume_mm3(distance):
    return occupancy(distance, 0.5).sum() * CELL_MM3


def test_a_sphere_has_its_volume():
    distance = sphere(GRID, (1.0, -2.0, 3.0), 10.0)
    assert volume_mm3(distance) == pytest.approx(4 / 3 * np.pi * 10**3, rel=2e-3)


def test_an_ellipsoid_has_its_volume_and_true_distances_near_its_surface():
    distance = ellipsoid(GRID, (0.0, 0.0, 0.0), (14.0, 9.0, 7.0))
    assert volume_mm3(distance) == pytest.approx(4 / 3 * np.pi * 14 * 9 * 7, rel=3e-3)
    outside = Points(*(np.array([v], np.float32) for v in (15.0, 0.0, 0.0)))
    assert ellipsoid(outside, (0.0, 0.0, 0.0), (14.0, 9.0, 7.0))[0] == pytest.approx(1, rel=0.1)


def test_a_capsule_has_its_volume():
    distance = tapered_capsule(GRID, (0, 0, -8), (0, 0, 8), 6.0, 6.0)
    assert volume_mm3(distance) == pytest.approx(np.pi * 6**2 * (16 + 8), rel=3e-3)


def test_the_distance_to_a_circle_is_exact():
    u, v = np.float32([3.0, 0.0]), np.float32([4.0, 7.0])
    np.testing.assert_allclose(ellipse(u, v, 6.0, 6.0), [-1.0, 1.0], atol=1e-5)


def test_a_smooth_union_fills_the_crease_and_nothing_else():
    first, second = np.float32([1.0, 2.0]), np.float32([1.0, 9.0])
    joined = smooth_union(first, second, 4.0)
    assert joined[0] == pytest.approx(0.0)
    assert joined[1] == 2.0
