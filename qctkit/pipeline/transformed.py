"""A scan through a recipe's transform: what stands in for an edit where nothing is optimised."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from qctkit.cohort import FemurMask, Sample
from qctkit.contracts import Transform, Transformed
from qctkit.engine.render import Rendering
from qctkit.volume import INT16_RANGE, Mask, Volume


def rendered(
    transform: Transform, sample: Sample, seed: int
) -> tuple[Rendering, Mask, Transformed]:
    """Return the changed scan, the region, which is all of it, and what the transform gave.

    Whole-number volumes stay whole numbers.

    Raises:
        ValueError: the transform gave another grid, values that are not finite, or no femur.
    """
    source = sample.volume.voxels
    given = transform.apply(sample.volume, sample.femur, seed)
    voxels, femur = np.asarray(given.voxels), np.asarray(given.femur, dtype=bool)
    if voxels.shape != source.shape or femur.shape != source.shape:
        raise ValueError(f"it gave {voxels.shape} and {femur.shape} voxels for {source.shape}")
    if not np.isfinite(voxels).all() or not femur.any():
        raise ValueError("it gave voxels that are not finite, or a mask with no femur in it")
    if source.dtype == np.int16:
        voxels = np.clip(np.rint(voxels), *INT16_RANGE)
    made = Rendering(
        sample.volume.with_voxels(voxels.astype(source.dtype)), replace(sample.femur, voxels=femur)
    )
    return made, np.ones(source.shape, dtype=bool), given


def moved_hu(source: Sample, volume: Volume, femur: FemurMask) -> NDArray[np.float32] | None:
    """Return the source as it was moved: the result where the femur moved, None where it did not.

    A transform is not taken apart: where it moves the femur, all that it does counts as moving.
    """
    if np.array_equal(source.femur.voxels, femur.voxels):
        return None
    return volume.voxels.astype(np.float32)
