import numpy as np
import pytest

from qctkit.cohort import Side
from qctkit.errors import SegmentationError
from qctkit.segmentation import femur_side
from tests.segmentation.phantoms import flipped, hip


@pytest.mark.parametrize(("sign", "side"), [(1, Side.RIGHT), (-1, Side.LEFT)])
def test_the_head_tells_the_side(sign: int, side: Side) -> None:
    volume, femur = hip(sign)
    assert femur_side(femur, volume.geometry) is side


@pytest.mark.parametrize(("sign", "side"), [(1, Side.RIGHT), (-1, Side.LEFT)])
def test_the_side_does_not_depend_on_the_array_axes(sign: int, side: Side) -> None:
    volume, femur = hip(sign)
    turned = flipped(volume)
    mask = femur[::-1, :, ::-1].transpose(2, 0, 1)
    assert femur_side(mask, turned.geometry) is side


def test_an_empty_mask_has_no_side() -> None:
    volume, femur = hip()
    with pytest.raises(SegmentationError, match="not empty"):
        femur_side(np.zeros_like(femur), volume.geometry)


def test_a_mask_of_another_shape_has_no_side() -> None:
    volume, femur = hip()
    with pytest.raises(SegmentationError, match="shape"):
        femur_side(femur[1:], volume.geometry)
