from dataclasses import replace

import numpy as np
import pytest

from qctkit.cohort import FemurMask, MaskOrigin, Sample, Side
from qctkit.errors import InputError
from qctkit.geometry import Geometry
from qctkit.pipeline.resample import resample
from qctkit.subject import Subject
from qctkit.volume import Volume


def ramp(shape: tuple[int, int, int] = (12, 16, 16)) -> Sample:
    """Return a scan whose HU are linear in world position, on a grid that is turned."""
    turned = np.array([[0.0, 0.8, 0.6], [0.0, -0.6, 0.8], [1.0, 0.0, 0.0]]) @ np.diag([3.0, 2, 2])
    geometry = Geometry(shape, np.block([[turned, np.array([[5.0], [-7], [9]])], [np.eye(4)[3:]]]))
    hu = _hu(geometry)
    inside = np.zeros(shape, dtype=bool)
    inside[3:9, 4:11, 4:11] = True
    femur = FemurMask(inside, Side.LEFT, MaskOrigin.GIVEN)
    return Sample("A", Subject("A"), Volume(hu.astype(np.float32), geometry), femur)


def _hu(geometry: Geometry) -> np.ndarray:
    world = geometry.to_world(np.moveaxis(np.indices(geometry.shape), 0, -1))
    return np.asarray(world @ [1.5, -2.25, 3.0] + 0.3)


def test_the_same_spacing_gives_the_same_scan() -> None:
    sample = ramp()
    again = resample(sample, sample.volume.spacing_mm)
    np.testing.assert_array_equal(again.volume.voxels, sample.volume.voxels)
    np.testing.assert_array_equal(again.femur.voxels, sample.femur.voxels)
    np.testing.assert_allclose(again.volume.geometry.affine, sample.volume.geometry.affine)


@pytest.mark.parametrize("spacing_mm", [(1.5, 1.0, 1.0), (3.0, 0.7, 1.3), (6.0, 4.0, 4.0)])
def test_what_lies_at_a_place_stays_there(spacing_mm: tuple[float, float, float]) -> None:
    volume = resample(ramp(), spacing_mm).volume
    assert volume.spacing_mm == pytest.approx(spacing_mm)
    # Away from the border, where there is nothing further to interpolate with.
    margin = [int(np.ceil(7.0 / mm)) for mm in spacing_mm]
    inner = tuple(slice(m, n - m) for m, n in zip(margin, volume.voxels.shape, strict=True))
    np.testing.assert_allclose(volume.voxels[inner], _hu(volume.geometry)[inner], atol=1e-3)
    assert volume.voxels[inner].size


def test_the_middle_and_the_box_stay() -> None:
    sample = ramp()
    grids = sample.volume.geometry, resample(sample, (1.0, 0.5, 4.0)).volume.geometry
    middles = [grid.to_world((np.array(grid.shape) - 1) / 2) for grid in grids]
    boxes = [np.array(grid.shape) * grid.spacing_mm for grid in grids]
    np.testing.assert_allclose(middles[0], middles[1])
    np.testing.assert_allclose(boxes[0], boxes[1])


def test_the_femur_keeps_its_size() -> None:
    sample = ramp()
    finer = resample(sample, (1.0, 1.0, 1.0)).femur.voxels.sum()
    assert finer == pytest.approx(sample.femur.voxels.sum() * 12, rel=0.02)


def test_whole_hu_stay_whole() -> None:
    sample = ramp()
    whole = replace(sample, volume=sample.volume.with_voxels(np.rint(sample.volume.voxels)))
    assert whole.volume.voxels.dtype == np.int16
    assert resample(whole, (1.0, 1.3, 0.9)).volume.voxels.dtype == np.int16


@pytest.mark.parametrize(
    ("spacing_mm", "words"),
    [((0.0, 1.0, 1.0), "above 0"), ((1.0, float("nan"), 1.0), "above 0"), ((1e-4,) * 3, "coarser")],
)
def test_a_grid_that_cannot_be_is_refused(
    spacing_mm: tuple[float, float, float], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        resample(ramp(), spacing_mm)
