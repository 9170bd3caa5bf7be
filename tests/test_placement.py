import numpy as np
import pytest

from qctkit.cohort import FemurMask, MaskOrigin, Sample, Side
from qctkit.geometry import Geometry
from qctkit.placement import Placement, mirror
from qctkit.segmentation import femur_side
from qctkit.volume import Volume


def turned(sample: Sample, degrees: float, about: int = 2) -> Volume:
    """Return the scan on a grid that is turned about a world axis."""
    turn = np.eye(4)
    others = [axis for axis in range(3) if axis != about]
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn[np.ix_(others, others)] = [[cos, -sin], [sin, cos]]
    geometry = sample.volume.geometry
    return Volume(sample.volume.voxels, Geometry(geometry.shape, turn @ geometry.affine))


def mirrored(volume: Volume, femur: FemurMask) -> tuple[Volume, FemurMask, Placement]:
    return mirror(volume, femur, Placement.whole(volume))


def corners_and_some(geometry: Geometry) -> np.ndarray:
    inside = np.random.default_rng(0).integers(0, geometry.shape, (50, 3))
    return np.vstack(
        [inside, np.indices((2, 2, 2)).reshape(3, -1).T * np.subtract(geometry.shape, 1)]
    )


TURNS = pytest.mark.parametrize("degrees", [-40.0, -20.0, 10.0, 20.0, 40.0, 70.0])


@TURNS
@pytest.mark.parametrize("about", [1, 2])
def test_each_voxel_lies_where_a_mirror_shows_it(
    sample: Sample, degrees: float, about: int
) -> None:
    volume = turned(sample, degrees, about)
    image, mask, placement = mirrored(volume, sample.femur)
    index = corners_and_some(image.geometry)
    source = placement.to_source_index(index).astype(int)
    assert np.array_equal(image.voxels[tuple(index.T)], volume.voxels[tuple(source.T)])
    assert np.array_equal(mask.voxels[tuple(index.T)], sample.femur.voxels[tuple(source.T)])
    middle_mm = volume.geometry.to_world((np.array(volume.geometry.shape) - 1) / 2)
    reflected_mm = volume.geometry.to_world(source)
    reflected_mm[:, 0] = 2 * middle_mm[0] - reflected_mm[:, 0]
    np.testing.assert_allclose(image.geometry.to_world(index), reflected_mm, atol=1e-9)


@pytest.mark.parametrize("degrees", [0.0, 10.0, 20.0, 40.0])
def test_the_mirror_image_has_the_shape_of_the_other_side(sample: Sample, degrees: float) -> None:
    volume = turned(sample, degrees)
    side = femur_side(sample.femur.voxels, volume.geometry)
    assert side is sample.femur.side
    image, mask, _ = mirrored(volume, sample.femur)
    assert femur_side(mask.voxels, image.geometry) is mask.side is not side


@TURNS
def test_the_mirror_keeps_the_handedness_and_twice_is_the_same(
    sample: Sample, degrees: float
) -> None:
    volume = turned(sample, degrees)
    image, mask, _ = mirrored(volume, sample.femur)
    dets = [np.linalg.det(one.geometry.affine) for one in (volume, image)]
    assert np.sign(dets[0]) == np.sign(dets[1])
    again, same, _ = mirrored(image, mask)
    assert np.array_equal(again.voxels, volume.voxels)
    assert (same.side, again.geometry.matches(volume.geometry, 1e-9)) == (sample.femur.side, True)


def test_a_grid_along_the_patients_axes_stays_to_the_last_bit() -> None:
    geometry = Geometry.from_spacing((4, 3, 5), (3.27, 0.7, 0.9765625), (-101.3, 7.7, 0.1))
    volume = Volume(np.arange(60).reshape(4, 3, 5), geometry)
    mask = np.ones((4, 3, 5), dtype=bool)
    femur = FemurMask(mask, Side.LEFT, MaskOrigin.GIVEN)
    image, _, placement = mirrored(volume, femur)
    assert image.geometry.affine.tobytes() == geometry.affine.tobytes()
    assert placement.mirrored_axis == 2
