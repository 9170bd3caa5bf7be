"""From the parameters of an edit to the full-resolution scan."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qctkit.boxes import Box, bounding_box
from qctkit.cohort import FemurMask, Sample
from qctkit.contracts import Edit
from qctkit.engine.edits.composition import furthest_mm, moving_part
from qctkit.engine.noise import without_noise
from qctkit.engine.scenes import scan_scene, view_scene
from qctkit.frame import FemurFrame
from qctkit.view import View, see
from qctkit.volume import INT16_RANGE, Mask, Volume

SLAB_VOXELS = 8_000_000
"""Voxels worked on at once, margins and all, where a slab with its margins fits in so many."""

BLUR_MARGIN_MM = 4.0
SURFACE_MARGIN_MM = 16.0
SPLINE_MARGIN = 8
"""How far from a slab's end the scanner's blur and the profiles of a surface that moves (mm) and a
cubic spline (slices) still look."""


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
    box = bounding_box(region)
    source = sample.volume.voxels[box]
    quiet = without_noise(source.astype(np.float32))
    voxels, femur = sample.volume.voxels.copy(), sample.femur.voxels.copy()
    for part, hu, inside in _applied(sample, box, quiet, edit, parameters, frame, view):
        # In this order, so that what does not change stays the source's to the last bit.
        changed = source[part] + (hu - quiet[part])
        if voxels.dtype == np.int16:
            changed = np.clip(np.rint(changed), *INT16_RANGE)
        where = region[box][part]
        voxels[box][part][where] = changed[where]
        femur[box][part][where] = inside[where]
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
    box = bounding_box(region)
    hu = sample.volume.voxels.astype(np.float32)
    still, moved = hu[box].copy(), hu[box]
    alone = moving_part(edit, parameters)
    for part, after, _ in _applied(sample, box, still, edit, alone, frame, view):
        moved[part] = after
    return hu


def _applied(
    sample: Sample,
    box: Box,
    hu: NDArray[np.float32],
    edit: Edit,
    parameters: Mapping[str, Tensor],
    frame: FemurFrame,
    view: View,
) -> Iterator[tuple[slice, NDArray[np.float32], Mask]]:
    """Yield, slab by slab along D of a box, what it shows after the edit, and which is femur."""
    image = see(sample.volume, sample.femur, frame, view)
    seen = view_scene(torch.from_numpy(np.stack([image.hu, image.femur]))[None], view)
    batch = {name: values[None] for name, values in parameters.items()}
    with torch.no_grad():
        reach_mm = furthest_mm(edit, seen, batch) + (SURFACE_MARGIN_MM if edit.reach_mm else 0.0)
    for slab, inner in _slabs(hu.shape, sample.volume.spacing_mm[0], reach_mm):
        whole = (slice(box[0].start + slab.start, box[0].start + slab.stop), *box[1:])
        scene = scan_scene(sample, whole, hu[slab], frame, view, seen.view_depth_mm[0].numpy())
        with torch.no_grad():
            after = edit.apply(scene, batch)
        own = slice(inner.start - slab.start, inner.stop - slab.start)
        yield inner, after.hu[0].numpy()[own], after.femur[0].numpy()[own] > 0.5


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
