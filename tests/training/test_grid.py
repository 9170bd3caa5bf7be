from dataclasses import replace

import numpy as np
import pytest

from qctkit.cohort import FemurMask, MaskOrigin, Side
from qctkit.errors import InputError
from qctkit.training import Centre, TrainingGrid


def test_a_grid_like_the_scans_own_keeps_the_mask(made):
    sample = made("A")
    _, mask = TrainingGrid(sample.volume.geometry.shape, 4.0).resample(sample)
    np.testing.assert_array_equal(mask, sample.femur.voxels)


def test_where_the_mask_lies_does_not_move_a_grid_centred_on_the_scan(made):
    sample = made("A")
    moved = np.roll(sample.femur.voxels, 1, axis=0)
    elsewhere = replace(sample, femur=FemurMask(moved, Side.LEFT, MaskOrigin.GIVEN))
    grid = TrainingGrid((8, 8, 8), 4.0)
    np.testing.assert_array_equal(grid.resample(sample)[0], grid.resample(elsewhere)[0])


def test_a_grid_centred_on_the_femur_follows_it(made):
    _, mask = TrainingGrid((9, 9, 9), 4.0, Centre.FEMUR).resample(made("A"))
    np.testing.assert_allclose(np.argwhere(mask).mean(axis=0), (4, 4, 4), atol=0.51)


def test_a_right_hip_is_mirrored_with_its_mask(made):
    grid = TrainingGrid((4, 5, 6), 4.0)
    left_hu, left_mask = grid.resample(made("A"))
    right_hu, right_mask = grid.resample(made("A", side=Side.RIGHT))
    np.testing.assert_allclose(right_hu, left_hu[..., ::-1], atol=1e-3)
    np.testing.assert_array_equal(right_mask, left_mask[..., ::-1])


def test_a_grid_that_misses_the_femur_is_refused(made):
    sample = made("A")
    corner = np.zeros_like(sample.femur.voxels)
    corner[0, 0, 0] = True
    cornered = replace(sample, femur=FemurMask(corner, Side.LEFT, MaskOrigin.GIVEN))
    with pytest.raises(InputError, match="the femur of A lies outside a grid"):
        TrainingGrid((2, 2, 2), 1.0).resample(cornered)


@pytest.mark.parametrize(("shape", "spacing_mm"), [((0, 4, 4), 4.0), ((4, 4, 4), 0.0)])
def test_a_size_that_is_not_positive_is_refused(shape, spacing_mm):
    with pytest.raises(InputError, match="positive sizes"):
        TrainingGrid(shape, spacing_mm)
