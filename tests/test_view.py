from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from qctkit.cohort import FemurMask, Sample, Side
from qctkit.errors import InputError
from qctkit.frame import FemurFrame, locate
from qctkit.geometry import Geometry
from qctkit.predictors.features import PhysicalFeatures
from qctkit.units import Unit
from qctkit.view import OUTSIDE_HU, View, ViewImage, see, see_volume, spacing_of
from qctkit.volume import Volume

NEAR = View((10, 10, 10), spacing_of(4.0))


def _seen(sample: Sample, view: View = NEAR) -> ViewImage:
    frame = locate(sample.femur, sample.volume.geometry)
    return see(sample.volume, sample.femur, frame, view)


def _mirrored(sample: Sample) -> Sample:
    """Return the same person seen in a mirror: x changes sign, left becomes right."""
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    geometry = Geometry(sample.volume.geometry.shape, flip @ sample.volume.geometry.affine)
    side = Side.RIGHT if sample.femur.side is Side.LEFT else Side.LEFT
    femur = FemurMask(sample.femur.voxels, side, sample.femur.origin)
    return replace(sample, volume=replace(sample.volume, geometry=geometry), femur=femur)


def test_a_femur_and_its_mirror_image_give_the_same_view(sample: Sample) -> None:
    one, other = _seen(sample), _seen(_mirrored(sample))
    np.testing.assert_allclose(one.hu, other.hu, atol=1e-2)
    np.testing.assert_allclose(one.femur, other.femur, atol=1e-5)


def test_a_femur_labelled_with_the_wrong_side_gives_another_view(sample: Sample) -> None:
    femur = FemurMask(sample.femur.voxels, Side.RIGHT, sample.femur.origin)
    assert np.abs(_seen(sample).hu - _seen(replace(sample, femur=femur)).hu).max() > 100.0


def test_the_view_does_not_depend_on_how_the_array_is_stored(sample: Sample) -> None:
    geometry = sample.volume.geometry
    affine = geometry.affine.copy()
    affine[:3, 3] = geometry.to_world((0, 0, geometry.shape[2] - 1))
    affine[:3, 2] *= -1.0
    volume = replace(
        sample.volume,
        voxels=sample.volume.voxels[:, :, ::-1],
        geometry=Geometry(geometry.shape, affine),
    )
    femur = FemurMask(sample.femur.voxels[:, :, ::-1], sample.femur.side, sample.femur.origin)
    turned = replace(sample, volume=volume, femur=femur)
    np.testing.assert_allclose(_seen(turned).hu, _seen(sample).hu, atol=1e-2)


def test_the_view_of_a_constant_volume_is_constant(sample: Sample) -> None:
    volume = sample.volume.with_voxels(np.full(sample.volume.voxels.shape, 123))
    hu = _seen(replace(sample, volume=volume)).hu
    assert hu.dtype == np.float32
    np.testing.assert_allclose(hu, 123.0, atol=1e-2)


def test_outside_the_field_of_view_there_is_air_and_no_femur(sample: Sample) -> None:
    far = FemurFrame((5000.0, 0.0, 0.0), Side.LEFT)
    image = see(sample.volume, sample.femur, far, NEAR)
    assert (image.hu == OUTSIDE_HU).all()
    assert (image.femur == 0.0).all()


@pytest.mark.parametrize("offset", [-5000.0, -60.0, 60.0, 5000.0])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_view_that_leaves_the_volume_on_any_side_is_finite(
    sample: Sample, frame: FemurFrame, axis: int, offset: float
) -> None:
    origin = np.array(frame.origin_mm)
    origin[axis] += offset
    image = see(sample.volume, sample.femur, FemurFrame(tuple(origin), Side.LEFT), NEAR)
    assert image.hu.shape == NEAR.shape
    assert np.isfinite(image.hu).all()
    assert (image.hu == OUTSIDE_HU).any()


def test_the_femurs_share_runs_from_zero_to_one(sample: Sample) -> None:
    femur = _seen(sample, View((20, 16, 16), spacing_of(6.0))).femur
    assert 0.0 <= femur.min() < 0.01
    assert 0.99 < femur.max() <= 1.0 + 1e-5


def test_positions_are_centred_and_spaced() -> None:
    positions = NEAR.positions_mm
    np.testing.assert_allclose(positions.mean(axis=(0, 1, 2)), 0.0, atol=1e-12)
    np.testing.assert_allclose(positions[-1, -1, -1], NEAR.half_extent_mm)
    np.testing.assert_allclose(np.diff(positions[:, 0, 0, 0]), 4.0)


def test_positions_are_spaced_along_each_axis_by_its_own_number() -> None:
    view = View((5, 6, 7), (3.0, 0.4, 0.5))
    steps = [np.diff(view.positions_mm[..., axis], axis=axis) for axis in range(3)]
    for found, spacing_mm in zip(steps, view.spacing_mm, strict=True):
        np.testing.assert_allclose(found, spacing_mm)
    np.testing.assert_allclose(view.half_extent_mm, (6.0, 1.0, 1.5))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("side", Side)
def test_every_point_of_a_view_shows_what_lies_there(axis: int, side: Side) -> None:
    """A ramp along one axis of the world is read back as the position along that axis."""
    geometry = Geometry.from_spacing((40, 40, 40), (2.0, 1.0, 1.5), (-30.0, -20.0, -40.0))
    indices = np.moveaxis(np.indices(geometry.shape), 0, -1)
    frame = FemurFrame((0.0, 0.0, 0.0), side)
    ramp = frame.from_world(geometry.to_world(indices))[..., axis].astype(np.float32)
    view = View((5, 21, 17), (4.0, 0.5, 0.7))
    seen = see_volume(Volume(ramp, geometry), frame, view)
    np.testing.assert_allclose(seen, view.positions_mm[..., axis], atol=1e-3)


@pytest.mark.parametrize("turned", [False, True])
def test_the_low_pass_follows_the_spacing_of_each_axis(turned: bool) -> None:
    """Fine stripes vanish along the coarse axis alone, however the array is stored."""
    geometry = Geometry.from_spacing((48, 48, 48), (1.0, 1.0, 1.0), (-24.0, -24.0, -24.0))
    if turned:
        affine = geometry.affine[:, [1, 2, 0, 3]]
        geometry = Geometry(geometry.shape, affine)
    frame = FemurFrame((0.0, 0.0, 0.0), Side.LEFT)
    position = frame.from_world(geometry.to_world(np.moveaxis(np.indices(geometry.shape), 0, -1)))
    view = View((5, 20, 20), (6.0, 1.0, 1.0))
    left = []
    for axis in range(3):
        stripes = np.float32(100.0) * np.cos(np.pi / 2 * position[..., axis]).astype(np.float32)
        left.append(np.abs(see_volume(Volume(stripes, geometry), frame, view)).max())
    assert left[0] < 1.0
    assert min(left[1:]) > 40.0


def test_physical_features_of_voxels_that_are_no_cubes_are_refused() -> None:
    with pytest.raises(InputError, match=r"\(3.0, 0.4, 0.4\) mm has no cubes"):
        PhysicalFeatures(View((8, 8, 8), (3.0, 0.4, 0.4)))


def test_a_single_number_is_a_spacing_along_all_axes() -> None:
    assert spacing_of(3) == (3.0, 3.0, 3.0) == spacing_of([3, 3, 3])


def test_see_volume_is_the_hu_of_see(make: Callable[..., Sample]) -> None:
    right = make(side=Side.RIGHT)
    frame = locate(right.femur, right.volume.geometry)
    np.testing.assert_array_equal(see_volume(right.volume, frame, NEAR), _seen(right).hu)


def test_a_volume_that_is_not_in_hu_is_refused(sample: Sample) -> None:
    calibrated = replace(sample, volume=replace(sample.volume, unit=Unit.MG_CM3_HA))
    with pytest.raises(InputError, match="mg/cm3 HA"):
        _seen(calibrated)
