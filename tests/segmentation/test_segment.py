from typing import TypeAlias

import numpy as np
import pytest

from qctkit.cohort import FemurMask, MaskOrigin, Side
from qctkit.errors import SegmentationError
from qctkit.geometry import Geometry
from qctkit.segmentation import segment_femora
from qctkit.volume import Mask, Volume
from tests.segmentation.phantoms import flipped, hip

RightHip: TypeAlias = tuple[Volume, Mask, FemurMask]


def dice(a: Mask, b: Mask) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.fixture(scope="module")
def right() -> RightHip:
    volume, truth = hip()
    (femur,) = segment_femora(volume)
    return volume, truth, femur


def test_a_right_femur_is_found(right: RightHip) -> None:
    _, truth, femur = right
    assert femur.side is Side.RIGHT
    assert femur.origin is MaskOrigin.SEGMENTED
    assert dice(femur.voxels, truth) > 0.93


def test_a_left_femur_is_found() -> None:
    volume, truth = hip(-1)
    (femur,) = segment_femora(volume)
    assert femur.side is Side.LEFT
    assert dice(femur.voxels, truth) > 0.93


def test_the_order_and_direction_of_axes_do_not_matter(right: RightHip) -> None:
    volume, _, straight = right
    (turned,) = segment_femora(flipped(volume))
    back = turned.voxels.transpose(1, 2, 0)[::-1, :, ::-1]
    assert turned.side is straight.side
    assert dice(back, straight.voxels) > 0.99


def test_the_same_volume_gives_the_same_mask(right: RightHip) -> None:
    volume, _, first = right
    (second,) = segment_femora(volume)
    np.testing.assert_array_equal(first.voxels, second.voxels)


def test_the_acetabulum_is_left_out(right: RightHip) -> None:
    volume, truth, femur = right
    cup = (volume.voxels > 1000) & ~truth
    assert (femur.voxels & cup).sum() < 0.05 * cup.sum()


def test_muscle_alone_is_refused_with_a_way_out() -> None:
    geometry = Geometry.from_spacing((40, 40, 40), (3.0, 3.0, 3.0))
    noise = np.random.default_rng(0).normal(50, 20, (40, 40, 40))
    with pytest.raises(SegmentationError, match=r"no proximal femur found.*`mask` column"):
        segment_femora(Volume(noise.astype(np.int16), geometry))


def test_air_alone_is_refused() -> None:
    geometry = Geometry.from_spacing((20, 20, 20), (3.0, 3.0, 3.0))
    with pytest.raises(SegmentationError, match="no proximal femur found"):
        segment_femora(Volume(np.full((20, 20, 20), -1000, dtype=np.int16), geometry))


def test_a_femur_with_an_implant_is_left_out_and_named() -> None:
    volume, _ = hip()
    voxels = volume.voxels.copy()
    shaft = volume.geometry.to_index((45.0, 0.0, -60.0)).round().astype(int)
    d, h, w = shaft
    voxels[d - 8 : d + 8, h - 3 : h + 3, w - 3 : w + 3] = 3071
    with pytest.raises(SegmentationError, match="metal implant"):
        segment_femora(volume.with_voxels(voxels))
