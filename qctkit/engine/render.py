"""From the parameters of an edit to the full-resolution scan."""

from collections.abc import Mapping

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from qctkit.cohort import Sample
from qctkit.contracts import Edit, Scene
from qctkit.frame import FemurFrame
from qctkit.view import View
from qctkit.volume import INT16_RANGE, Mask, Volume


def render(
    sample: Sample,
    edit: Edit,
    parameters: Mapping[str, Tensor],
    region: Mask,
    frame: FemurFrame,
    view: View,
) -> Volume:
    """Return the sample's volume with the edit applied at its own resolution.

    The change passes through the scanner's blur, as a true change of density would, and is cut to
    the region; every voxel outside is the source's. Whole-number volumes stay whole numbers.
    """
    box = _box(region)
    volume = sample.volume
    scene = _native_scene(sample, box, frame, view)
    with torch.no_grad():
        batch = {name: values[None] for name, values in parameters.items()}
        change = edit.change_hu(scene, batch)[0].numpy()
    if edit.blur_mm > 0:
        sigma = [edit.blur_mm / spacing for spacing in volume.spacing_mm]
        change = ndimage.gaussian_filter(change, sigma, mode="nearest")
    voxels = volume.voxels.copy()
    changed = voxels[box] + np.where(region[box], change, 0.0)
    if voxels.dtype == np.int16:
        changed = np.clip(np.rint(changed), *INT16_RANGE)
    voxels[box] = np.where(region[box], changed, voxels[box]).astype(voxels.dtype)
    return volume.with_voxels(voxels)


def view_scene(images: Tensor, view: View) -> Scene:
    """Return the scene of views ``(N, 2, D, H, W)`` (HU, femur share)."""
    positions = torch.from_numpy(view.positions_mm / view.half_extent_mm).float()[None]
    return Scene(images[:, 0], images[:, 1], positions)


def _native_scene(
    sample: Sample, box: tuple[slice, slice, slice], frame: FemurFrame, view: View
) -> Scene:
    shape = tuple(one.stop - one.start for one in box)
    start = np.array([one.start for one in box])
    indices = np.moveaxis(np.indices(shape), 0, -1) + start
    world = sample.volume.geometry.to_world(indices)
    positions = frame.from_world(world) / view.half_extent_mm
    return Scene(
        torch.from_numpy(sample.volume.voxels[box].astype(np.float32))[None],
        torch.from_numpy(sample.femur.voxels[box].astype(np.float32))[None],
        torch.from_numpy(positions.astype(np.float32))[None],
    )


def _box(region: Mask) -> tuple[slice, slice, slice]:
    d, h, w = (slice(int(axis.min()), int(axis.max()) + 1) for axis in np.nonzero(region))
    return d, h, w
