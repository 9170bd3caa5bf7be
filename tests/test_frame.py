from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qctkit.cohort import FemurMask, MaskOrigin, Sample, Side
from qctkit.frame import FemurFrame, locate
from qctkit.geometry import Geometry

triples = st.tuples(*[st.floats(-300.0, 300.0)] * 3)


@given(triples, triples, st.sampled_from(Side))
def test_from_world_inverts_to_world(
    origin: tuple[float, float, float], point: tuple[float, float, float], side: Side
) -> None:
    frame = FemurFrame(origin, side)
    np.testing.assert_allclose(frame.from_world(frame.to_world(point)), point, atol=1e-9)


@pytest.mark.parametrize(("side", "right"), [(Side.LEFT, 1.0), (Side.RIGHT, -1.0)])
def test_medial_of_a_left_femur_is_the_patients_right(side: Side, right: float) -> None:
    frame = FemurFrame((0.0, 0.0, 0.0), side)
    np.testing.assert_allclose(frame.to_world((0.0, 0.0, 1.0)), (right, 0.0, 0.0))
    np.testing.assert_allclose(frame.to_world((1.0, 0.0, 0.0)), (0.0, 0.0, 1.0))
    np.testing.assert_allclose(frame.to_world((0.0, 1.0, 0.0)), (0.0, 1.0, 0.0))


def _rod(length_mm: int) -> tuple[FemurMask, Geometry]:
    """Return a rod whose top lies at z = 0 whatever its length; 2 mm slices."""
    slices = length_mm // 2
    mask = np.zeros((slices, 9, 9), dtype=bool)
    mask[:, 3:6, 3:6] = True
    geometry = Geometry.from_spacing(mask.shape, (2.0, 1.0, 1.0), (0.0, 0.0, -2.0 * (slices - 1)))
    return FemurMask(mask, Side.LEFT, MaskOrigin.GIVEN), geometry


@pytest.mark.parametrize("length_mm", [102, 130, 200])
def test_shaft_beyond_100_mm_does_not_move_the_origin(length_mm: int) -> None:
    np.testing.assert_allclose(locate(*_rod(length_mm)).origin_mm, locate(*_rod(100)).origin_mm)


def test_the_origin_is_the_centroid_of_the_proximal_100_mm() -> None:
    np.testing.assert_allclose(locate(*_rod(160)).origin_mm, (4.0, 4.0, -49.0))


def test_the_origin_does_not_depend_on_how_the_array_is_stored(sample: Sample) -> None:
    geometry = sample.volume.geometry
    affine = geometry.affine[:, [2, 0, 1, 3]].copy()
    affine[:3, 3] = geometry.to_world((0, geometry.shape[1] - 1, 0))
    affine[:3, 2] *= -1.0
    turned = np.flip(sample.femur.voxels.transpose(2, 0, 1), axis=2)
    femur = FemurMask(turned, sample.femur.side, sample.femur.origin)
    expected = locate(sample.femur, geometry).origin_mm
    np.testing.assert_allclose(locate(femur, Geometry(turned.shape, affine)).origin_mm, expected)


def test_the_side_is_the_femurs(make: Callable[..., Sample]) -> None:
    right = make(side=Side.RIGHT)
    assert locate(right.femur, right.volume.geometry).side is Side.RIGHT
