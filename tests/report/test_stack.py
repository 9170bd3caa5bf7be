"""Volumes as the browser gets them."""

import base64
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from qctkit.cohort import Sample
from qctkit.geometry import Geometry
from qctkit.report.stack import (
    LEVELS_HU,
    STEP_HU,
    Stack,
    box_around,
    coded,
    coded_difference,
    stack_of,
    widest,
)
from qctkit.volume import Volume

EVERYTHING = (slice(None), slice(None), slice(None))


def inflated(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


def difference(text: str, step_hu: int) -> np.ndarray:
    """Return differences as the page's script unpacks them."""
    low, high = np.frombuffer(inflated(text), np.uint8).reshape(2, -1).astype(np.int32)
    return ((high << 24 >> 16) | low) * step_hu


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, -1), (1, -1, -1)])
@pytest.mark.parametrize("axes", [(2, 1, 0), (0, 2, 1), (1, 0, 2)])
def test_however_the_array_runs_the_top_the_front_and_the_patients_right_come_first(
    sample: Sample, signs: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    shape = (4, 5, 6)
    affine = np.eye(4)
    affine[:3, :3] = 0
    for array, (world, sign) in enumerate(zip(axes, signs, strict=True)):
        affine[world, array] = sign * 2.0
    geometry = Geometry(shape, affine)
    at = geometry.to_world(np.stack(np.indices(shape), axis=-1))
    for along, world in enumerate((2, 1, 0)):  # S, A, R
        volume = Volume(at[..., world].astype(np.int16), geometry)
        mask = replace(sample.femur, voxels=np.ones(shape, dtype=bool))
        turned = stack_of(replace(sample, volume=volume, femur=mask), EVERYTHING).voxels
        assert (np.diff(turned, axis=along) == -2).all()


def test_the_box_holds_the_whole_femur_and_the_widest_slices_hold_some(sample: Sample) -> None:
    box = box_around(sample)
    assert sample.femur.voxels[box].sum() == sample.femur.voxels.sum()
    s, a, r = widest(sample, box)
    femur = replace(sample, volume=sample.volume.with_voxels(sample.femur.voxels.astype(np.int16)))
    turned = stack_of(femur, box).voxels
    assert turned[s].sum() == turned.sum(axis=(1, 2)).max()
    assert turned[:, a].sum() == turned.sum(axis=(0, 2)).max()
    assert turned[:, :, r].sum() == turned.sum(axis=(0, 1)).max()


def test_codes_give_soft_tissue_and_bone_back_to_4_hu() -> None:
    values = np.arange(-200, 990, dtype=np.int16).reshape(1, 1, -1)
    codes = np.frombuffer(inflated(coded(Stack(values, (1.0, 1.0, 1.0)))), np.uint8)
    assert np.abs(LEVELS_HU[codes] - values.ravel()).max() <= 4


@pytest.mark.parametrize("most", [3, 200, 2000])
def test_differences_come_back_and_are_nought_exactly_where_nothing_changed(most: int) -> None:
    generator = np.random.default_rng(0)
    real = generator.integers(-1000, 1500, (3, 4, 5)).astype(np.int16)
    change = generator.integers(-most, most + 1, real.shape)
    change[0] = 0
    spacing = (1.0, 1.0, 1.0)
    made = Stack((real + change).astype(np.int16), spacing)
    text, step = coded_difference(made, Stack(real, spacing))
    found = difference(text, step).reshape(real.shape)
    assert step == (1 if most < 256 else STEP_HU)
    assert np.abs(found - change).max() <= step // 2
    assert not found[0].any()


def test_a_coarser_stack_covers_the_same_millimetres(make: Callable[..., Sample]) -> None:
    fine = stack_of(make(), EVERYTHING)
    coarse = fine.on(2.5 * min(fine.spacing_mm))
    assert coarse.voxels.size < fine.voxels.size
    for stack in (fine, coarse):
        extent = np.array(stack.shape) * stack.spacing_mm
        assert extent == pytest.approx(np.array(fine.shape) * fine.spacing_mm)
    assert fine.on(0.0) is fine
