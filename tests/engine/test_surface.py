"""Moving by parts of a voxel, against the same body scanned there."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from qctkit.engine.grids import VoxelGrid
from qctkit.engine.scenes import depth_mm
from qctkit.engine.surface import smooth_depth
from qctkit.geometry import Triple

SHAPE = (24, 48, 48)
SPACING_MM = (2.0, 1.0, 1.0)
RADIUS_MM = 17.0
CENTRE = (0.21, 0.37, 0.13)
"""Off the middle of a voxel, in voxels: a ball on the lattice itself has terraces for poles."""

BETWEEN = (0.45, -0.3, 0.6)
"""A shift that ends between slices, in voxels."""

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Ball:
    """A ball of marrow in a cortex of 2 mm, blurred as by a scanner, on a grid that lies apart."""

    hu: Array
    mask: NDArray[np.bool_]
    true_depth_mm: Array


def _ball(shift: Triple = (0.0, 0.0, 0.0), cortex_mm: float = 2.0) -> Ball:
    fine = 4
    steps = [
        np.repeat(np.arange(n), fine) + (np.tile(np.arange(fine), n) + 0.5) / fine - 0.5
        for n in SHAPE
    ]
    z, y, x = (
        (step + move - (n - 1) / 2 - centre) * spacing
        for step, move, n, centre, spacing in zip(
            steps, shift, SHAPE, CENTRE, SPACING_MM, strict=True
        )
    )
    depth = RADIUS_MM - np.sqrt(z[:, None, None] ** 2 + y[None, :, None] ** 2 + x[None, None] ** 2)
    hu = np.where(depth > cortex_mm, 100.0, np.where(depth > 0, 1200.0, 20.0))
    blurred = ndimage.gaussian_filter(hu, [0.7 * fine / spacing for spacing in SPACING_MM])
    voxels = blurred.reshape(SHAPE[0], fine, SHAPE[1], fine, SHAPE[2], fine).mean(axis=(1, 3, 5))
    middle = (np.array(SHAPE) - 1) / 2 + CENTRE - shift
    away = (np.moveaxis(np.indices(SHAPE), 0, -1) - middle) * SPACING_MM
    true = RADIUS_MM - np.linalg.norm(away, axis=-1)
    return Ball(voxels.astype(np.float32), true > 0, true.astype(np.float32))


def _moved(ball: Ball, shift: Triple) -> tuple[Array, Array]:
    grid = VoxelGrid(np.eye(3), np.zeros(3), SPACING_MM)
    steps = np.broadcast_to(np.asarray(shift, dtype=np.float32), (*SHAPE, 3))
    return grid.moved(ball.hu, depth_mm(ball.mask, SPACING_MM), steps)


@pytest.fixture(scope="module")
def ball() -> Ball:
    return _ball()


def test_smooth_depths_find_a_surface_finer_than_the_masks_voxels(ball: Ball) -> None:
    stepped = depth_mm(ball.mask, SPACING_MM)
    smooth = smooth_depth(stepped, SPACING_MM)
    at_surface = np.abs(ball.true_depth_mm) < 1.0
    before, after = ((one - ball.true_depth_mm)[at_surface] for one in (stepped, smooth))
    assert after.std() < 0.5 * before.std()
    assert abs(after.mean()) < 0.05
    once = ndimage.gaussian_filter(stepped, 2.0 / np.asarray(SPACING_MM), truncate=3.0)
    assert abs(after.mean()) < 0.5 * abs((once - ball.true_depth_mm)[at_surface].mean())


def test_an_edge_between_slices_stays_as_sharp_as_it_is_scanned(ball: Ball) -> None:
    oracle = _ball(BETWEEN)
    moved, _ = _moved(ball, BETWEEN)
    splined = ndimage.shift(ball.hu, -np.asarray(BETWEEN), order=3, mode="nearest")
    near = np.abs(oracle.true_depth_mm) < 4.0
    ours, theirs = ((one - oracle.hu)[near] for one in (moved, splined))
    assert ours.std() < 0.5 * theirs.std()
    assert abs(ours.mean()) < 3.0


def test_the_mask_lies_where_the_oracles_does(ball: Ball) -> None:
    oracle = _ball(BETWEEN)
    _, depth = _moved(ball, BETWEEN)
    wrong = (depth > 0) != oracle.mask
    at_surface = np.abs(oracle.true_depth_mm) < 1.0
    assert wrong.sum() < 0.06 * at_surface.sum()
    assert not wrong[~at_surface].any()


@pytest.mark.parametrize("shift", [(0.5, 0.5, 0.5), (0.5, 0.0, 0.0), BETWEEN])
def test_a_shift_keeps_the_volume(ball: Ball, shift: Triple) -> None:
    _, depth = _moved(ball, shift)
    assert (depth > 0).sum() == pytest.approx(ball.mask.sum(), rel=0.01)


def test_a_cortex_that_is_thick_on_one_side_moves_with_it() -> None:
    thin, thick = _ball(), _ball(cortex_mm=3.5)
    half = np.arange(SHAPE[2]) >= SHAPE[2] // 2
    mixed = Ball(np.where(half, thick.hu, thin.hu), thin.mask, thin.true_depth_mm)
    moved, _ = _moved(mixed, (0.5, 0.0, 0.0))
    oracles = (_ball((0.5, 0.0, 0.0)), _ball((0.5, 0.0, 0.0), cortex_mm=3.5))
    depth = oracles[0].true_depth_mm
    for oracle, side in zip(oracles, (slice(0, 16), slice(32, 48)), strict=True):
        near = np.abs(depth[..., side]) < 5.0
        off = (moved - oracle.hu)[..., side][near]
        splined = ndimage.shift(mixed.hu, (-0.5, 0, 0), order=3, mode="nearest")
        assert off.std() < 0.6 * (splined - oracle.hu)[..., side][near].std()


def test_a_scan_without_a_femur_is_moved_by_splines(ball: Ball) -> None:
    bare = Ball(ball.hu, np.zeros(SHAPE, dtype=bool), ball.true_depth_mm)
    moved, depth = _moved(bare, BETWEEN)
    splined = ndimage.shift(ball.hu, -np.asarray(BETWEEN), order=3, mode="nearest")
    np.testing.assert_allclose(moved, splined, atol=0.01)
    assert not (depth > 0).any()
