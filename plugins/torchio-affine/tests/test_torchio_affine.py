import numpy as np
from qctkit_torchio_affine.transform import TorchioAffine

from qctkit.testing import RecipeContract, TransformContract, installed, make_femur


class TestTorchioAffine(TransformContract):
    component = TorchioAffine()


class TestTheRecipe(RecipeContract):
    component = installed("recipes", "torchio-affine")


def test_it_is_found_by_its_entry_point() -> None:
    assert installed("transforms", "torchio-affine") == TorchioAffine()


def test_the_femur_moves_with_the_scan() -> None:
    femur = make_femur(noise_hu=0.0)
    given = TorchioAffine().apply(femur.volume, femur.femur, 1)
    assert not np.array_equal(given.femur, femur.femur.voxels)
    inside, outside = (given.voxels[one].mean() for one in (given.femur, ~given.femur))
    assert inside > 300.0 > 100.0 > outside
    volumes = given.femur.sum() / femur.femur.voxels.sum()
    assert abs(volumes - given.figures["least_determinant"]) < 0.1


def test_no_map_at_all_changes_nothing() -> None:
    femur = make_femur()
    given = TorchioAffine(scales=0.0, degrees=0.0).apply(femur.volume, femur.femur, 0)
    assert np.array_equal(given.femur, femur.femur.voxels)
    assert np.allclose(given.voxels, femur.volume.voxels, atol=0.5)
