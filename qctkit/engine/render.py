"""From the parameters of an edit to the full-resolution scan."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from qctkit.cohort import FemurMask, Sample
from qctkit.contracts import Edit
from qctkit.engine.scenes import scan_scene
from qctkit.frame import FemurFrame
from qctkit.view import View
from qctkit.volume import INT16_RANGE, Mask, Volume

Box: TypeAlias = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Rendering:
    """A changed scan at its own resolution, and the femur in it."""

    volume: Volume
    femur: FemurMask


def render(
    sample: Sample,
    edit: Edit,
    parameters: Mapping[str, Tensor],
    region: Mask,
    frame: FemurFrame,
    view: View,
) -> Rendering:
    """Return the sample's volume and femur with the edit applied at their own resolution.

    The change is cut to the region; every voxel outside is the source's. Whole-number volumes
    stay whole numbers, and an edit that moves nothing keeps the mask itself.
    """
    box = _box(region)
    volume = sample.volume
    scene = scan_scene(sample, volume.voxels[box].astype(np.float32), box, frame, view)
    with torch.no_grad():
        batch = {name: values[None] for name, values in parameters.items()}
        after = edit.apply(scene, batch)
    voxels = volume.voxels.copy()
    changed = after.hu[0].numpy()
    if voxels.dtype == np.int16:
        changed = np.clip(np.rint(changed), *INT16_RANGE)
    voxels[box] = np.where(region[box], changed, voxels[box]).astype(voxels.dtype)
    femur = _moved(sample.femur, after.femur[0].numpy() > 0.5, region, box)
    return Rendering(volume.with_voxels(voxels), femur if edit.moves else sample.femur)


def _moved(femur: FemurMask, inside: Mask, region: Mask, box: Box) -> FemurMask:
    """Return the mask with what lies in a box's part of the region replaced."""
    voxels = femur.voxels.copy()
    voxels[box] = np.where(region[box], inside, voxels[box])
    return replace(femur, voxels=voxels)


def _box(region: Mask) -> Box:
    d, h, w = (slice(int(axis.min()), int(axis.max()) + 1) for axis in np.nonzero(region))
    return d, h, w
