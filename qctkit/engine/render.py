"""From the parameters of an edit to the full-resolution scan."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qctkit.cohort import FemurMask, Sample
from qctkit.contracts import Edit
from qctkit.engine.edits.composition import moving_part
from qctkit.engine.noise import without_noise
from qctkit.engine.scenes import Box, scan_scene, view_depth_mm
from qctkit.frame import FemurFrame
from qctkit.view import View, see
from qctkit.volume import INT16_RANGE, Mask, Volume

SLAB_VOXELS = 16_000_000
"""Voxels worked on at once; about 100 bytes each are in use."""

BLUR_MARGIN_MM = 4.0
SPLINE_MARGIN = 8
"""How far from a slab's end the scanner's blur (mm) and a cubic spline (slices) still look."""


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

    An edit is applied to the scan without its noise, which stays as it was and where it was. The
    change is cut to the region, every voxel outside is the source's; whole-number volumes stay
    whole numbers; a mask that is not moved stays itself.
    """
    box = _box(region)
    source = sample.volume.voxels[box].astype(np.float32)
    quiet = without_noise(source)
    hu, inside = _applied(sample, box, quiet, edit, parameters, frame, view)
    # In this order, so that what does not change stays the source's to the last bit.
    changed = source + (hu - quiet)
    voxels, femur = sample.volume.voxels.copy(), sample.femur.voxels.copy()
    if voxels.dtype == np.int16:
        changed = np.clip(np.rint(changed), *INT16_RANGE)
    voxels[box] = np.where(region[box], changed, voxels[box]).astype(voxels.dtype)
    femur[box] = np.where(region[box], inside, femur[box])
    return Rendering(sample.volume.with_voxels(voxels), replace(sample.femur, voxels=femur))


def moved_hu(
    sample: Sample,
    edit: Edit,
    parameters: Mapping[str, Tensor],
    region: Mask,
    frame: FemurFrame,
    view: View,
) -> NDArray[np.float32]:
    """Return the sample's HU ``(D, H, W)`` only moved, noise and all, its density unchanged."""
    box = _box(region)
    hu = sample.volume.voxels.astype(np.float32)
    alone = moving_part(edit, parameters)
    hu[box], _ = _applied(sample, box, hu[box].copy(), edit, alone, frame, view)
    return hu


def _applied(
    sample: Sample,
    box: Box,
    hu: NDArray[np.float32],
    edit: Edit,
    parameters: Mapping[str, Tensor],
    frame: FemurFrame,
    view: View,
) -> tuple[NDArray[np.float32], Mask]:
    """Return what a box shows after the edit, and which of its voxels are femur, slab by slab."""
    seen_depth_mm = view_depth_mm(see(sample.volume, sample.femur, frame, view).femur, view)
    batch = {name: values[None] for name, values in parameters.items()}
    after_hu, inside = np.empty_like(hu), np.empty(hu.shape, dtype=bool)
    for slab, inner in _slabs(hu.shape, sample.volume.spacing_mm[0], edit.reach_mm):
        whole = (slice(box[0].start + slab.start, box[0].start + slab.stop), *box[1:])
        scene = scan_scene(sample, whole, hu[slab], frame, view, seen_depth_mm)
        with torch.no_grad():
            after = edit.apply(scene, batch)
        own = slice(inner.start - slab.start, inner.stop - slab.start)
        after_hu[inner] = after.hu[0].numpy()[own]
        inside[inner] = after.femur[0].numpy()[own] > 0.5
    return after_hu, inside


def _box(region: Mask) -> Box:
    d, h, w = (slice(int(axis.min()), int(axis.max()) + 1) for axis in np.nonzero(region))
    return d, h, w


def _slabs(
    shape: tuple[int, ...], spacing_mm: float, reach_mm: float
) -> Iterator[tuple[slice, slice]]:
    """Yield slices along D of slabs with their margins, and of what each of them is for."""
    depth, height, width = shape
    margin = int(np.ceil((reach_mm + BLUR_MARGIN_MM) / spacing_mm)) + SPLINE_MARGIN
    most = SLAB_VOXELS // (height * width)
    step = depth if depth <= most else max(most - 2 * margin, margin)
    for start in range(0, depth, step):
        stop = min(start + step, depth)
        yield slice(max(start - margin, 0), min(stop + margin, depth)), slice(start, stop)
