import numpy as np
from scipy import ndimage

from qctkit.distances import distance_mm

SPACING_MM = (2.0, 0.7, 0.9)


def test_distances_are_those_of_scipy_to_the_last_bit() -> None:
    mask = np.random.default_rng(0).random((11, 12, 13)) < 0.9
    expected = ndimage.distance_transform_edt(mask, sampling=SPACING_MM)
    np.testing.assert_array_equal(distance_mm(mask, SPACING_MM), expected)


def test_there_is_no_distance_outside() -> None:
    assert not distance_mm(np.zeros((3, 4, 5), dtype=bool), SPACING_MM).any()
