from typing import TypeAlias

import numpy as np
import pytest

from qctkit.cohort import FemurMask, MaskOrigin, Side
from qctkit.errors import SegmentationError
from qctkit.geometry import Geometry
from qctkit.segmentation import segment_femora
from qctkit.volume import Mask, Volume
from tests.segmentation.phantoms import HEAD_MM, flipped, hip, pelvis

RightHip: TypeAlias = tuple[Volume, Mask, FemurMask]


def dice(a: Mask, b: Mask) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.fixture(scope="module")
def right() -> RightHip:
    volume, truth = hip()
    (femur,) = segment_femora(volume).femora
    return volume, truth, femur.mask


def test_a_right_femur_is_found(right: RightHip) -> None:
    _, truth, femur = right
    assert femur.side is Side.RIGHT
    assert femur.origin is MaskOrigin.SEGMENTED
    assert dice(femur.voxels, truth) > 0.93


def test_a_left_femur_is_found_whatever_the_order_and_direction_of_axes() -> None:
    volume, truth = hip(-1)
    (femur,) = segment_femora(flipped(volume)).femora
    back = femur.mask.voxels.transpose(1, 2, 0)[::-1, :, ::-1]
    assert femur.mask.side is Side.LEFT
    assert dice(back, truth) > 0.93


def test_the_acetabulum_is_left_out(right: RightHip) -> None:
    volume, truth, femur = right
    cup = (volume.voxels > 1000) & ~truth
    assert (femur.voxels & cup).sum() < 0.05 * cup.sum()


def test_muscle_alone_is_refused_with_a_way_out() -> None:
    geometry = Geometry.from_spacing((40, 40, 40), (3.0, 3.0, 3.0))
    noise = np.random.default_rng(0).normal(50, 20, (40, 40, 40))
    with pytest.raises(SegmentationError, match=r"no proximal femur found.*`mask` column"):
        segment_femora(Volume(noise.astype(np.int16), geometry))


@pytest.mark.parametrize(
    ("shape", "spacing_mm"),
    [
        ((1, 40, 40), (3.0, 3.0, 3.0)),
        ((40, 40, 1), (3.0, 3.0, 3.0)),
        ((2, 40, 40), (1.5, 3.0, 3.0)),
    ],
)
def test_a_scan_too_thin_to_search_is_refused_with_its_figures(
    shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]
) -> None:
    geometry = Geometry.from_spacing(shape, spacing_mm)
    with pytest.raises(SegmentationError, match=r"40 .*voxels of .* too thin.*`mask` column"):
        segment_femora(Volume(np.full(shape, 50, dtype=np.int16), geometry))


@pytest.mark.parametrize("spacing_mm", [(50.0, 3.0, 3.0), (3.0, 3.0, 40.0), (1e6, 1e6, 1e6)])
def test_a_scan_too_large_to_search_is_refused_with_its_figures(
    spacing_mm: tuple[float, float, float],
) -> None:
    geometry = Geometry.from_spacing((40, 40, 40), spacing_mm)
    with pytest.raises(SegmentationError, match=r"40 x 40 x 40 voxels of .* up to 1500 mm.*crop"):
        segment_femora(Volume(np.full((40, 40, 40), 50, dtype=np.int16), geometry))


def test_a_scan_just_thick_enough_is_searched() -> None:
    geometry = Geometry.from_spacing((2, 40, 40), (2.0, 3.0, 3.0))
    with pytest.raises(SegmentationError, match="no proximal femur found"):
        segment_femora(Volume(np.full((2, 40, 40), 50, dtype=np.int16), geometry))


def test_air_alone_is_refused() -> None:
    geometry = Geometry.from_spacing((20, 20, 20), (3.0, 3.0, 3.0))
    with pytest.raises(SegmentationError, match="no proximal femur found"):
        segment_femora(Volume(np.full((20, 20, 20), -1000, dtype=np.int16), geometry))


def with_nail(volume: Volume, at_mm: tuple[float, float, float]) -> Volume:
    d, h, w = volume.geometry.to_index(at_mm).round().astype(int)
    voxels = volume.voxels.copy()
    voxels[d - 8 : d + 8, h - 3 : h + 3, w - 3 : w + 3] = 3071
    return volume.with_voxels(voxels)


def test_a_femur_with_an_implant_is_refused_with_the_reason() -> None:
    volume, _ = hip()
    with pytest.raises(SegmentationError, match="right femur: a metal implant lies within 5 mm"):
        segment_femora(with_nail(volume, (45.0, 0.0, -60.0)))


def test_beside_a_femur_with_an_implant_the_other_is_kept() -> None:
    found = segment_femora(with_nail(pelvis(), (45.0, 0.0, -60.0)))
    assert [femur.mask.side for femur in found.femora] == [Side.LEFT]
    assert found.left_out == ("right femur: a metal implant lies within 5 mm",)
    assert found.hips_in_view == 2


def test_metal_far_from_the_femur_changes_nothing(right: RightHip) -> None:
    volume, _, femur = right
    voxels = volume.voxels.copy()
    voxels[10:14, -10:-4, 4:10] = 3071
    found = segment_femora(volume.with_voxels(voxels))
    np.testing.assert_array_equal(found.femora[0].mask.voxels, femur.voxels)
    assert found.left_out == ()


def test_metal_where_no_femur_is_found_is_named() -> None:
    geometry = Geometry.from_spacing((40, 40, 40), (3.0, 3.0, 3.0))
    voxels = np.full((40, 40, 40), 50, dtype=np.int16)
    voxels[10:20, 10:20, 10:20] = 3071
    with pytest.raises(SegmentationError, match="large piece of metal"):
        segment_femora(Volume(voxels, geometry))


def between(volume: Volume, low_mm: float, high_mm: float) -> Volume:
    d, h, w = volume.geometry.shape
    low, high = (
        int(np.clip(volume.geometry.to_index((0.0, 0.0, z_mm))[0], 0, d))
        for z_mm in (low_mm, high_mm)
    )
    box = (slice(low, high), slice(0, h), slice(0, w))
    return Volume(volume.voxels[box], volume.geometry.crop(box))


def test_a_head_cut_by_the_scan_is_doubted() -> None:
    volume, _ = hip()
    (femur,) = segment_femora(between(volume, -200.0, HEAD_MM[2] + 2.0)).femora
    assert any("the head is cut by the scan" in doubt for doubt in femur.doubts)


def test_both_hips_are_found_and_doubted_where_the_scan_ends_high() -> None:
    found = segment_femora(between(pelvis(), HEAD_MM[2] - 60.0, 200.0))
    left, right = (femur.mask for femur in found.femora)
    assert (left.side, right.side) == (Side.LEFT, Side.RIGHT)
    assert not (left.voxels & right.voxels).any()
    for femur in found.femora:
        assert any("the lesser trochanter may be missing" in doubt for doubt in femur.doubts)
