"""From the parameters of an edit to the full-resolution scan."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from qctkit.cohort import FemurMask, Sample
from qctkit.contracts import Edit
from qctkit.engine.noise import without_noise
from qctkit.engine.scenes import Box, scan_scene, view_depth_mm
from qctkit.frame import FemurFrame
from qctkit.view import View, see
from qctkit.volume import INT16_RANGE, Mask, Volume

SLAB_VOXELS = 8_000_000
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

    An edit that moves things moves the scan without its noise; the noise stays where it was. The
    change is cut to the region, every voxel outside is the source's; whole-number volumes stay
    whole numbers; a mask that is not moved stays itself.
    """
    box = _box(region)
    source = sample.volume.voxels[box].astype(np.float32)
    quiet = without_noise(source) if edit.reach_mm else source
    share = see(sample.volume, sample.femur, frame, view).femur
    seen_depth_mm = view_depth_mm(share, view)
    batch = {name: values[None] for name, values in parameters.items()}
    voxels, femur = sample.volume.voxels.copy(), sample.femur.voxels.copy()
    for slab, inner in _slabs(box, sample.volume.spacing_mm[0], edit.reach_mm):
        shown = quiet[slab.start - box[0].start : slab.stop - box[0].start]
        scene = scan_scene(sample, (slab, *box[1:]), shown, frame, view, seen_depth_mm)
        with torch.no_grad():
            after = edit.apply(scene, batch)
        part = slice(inner.start - slab.start, inner.stop - slab.start)
        place = (inner, *box[1:])
        noise = (source - quiet)[inner.start - box[0].start : inner.stop - box[0].start]
        changed = after.hu[0].numpy()[part] + noise
        if voxels.dtype == np.int16:
            changed = np.clip(np.rint(changed), *INT16_RANGE)
        voxels[place] = np.where(region[place], changed, voxels[place]).astype(voxels.dtype)
        inside = after.femur[0].numpy()[part] > 0.5
        femur[place] = np.where(region[place], inside, femur[place])
    return Rendering(sample.volume.with_voxels(voxels), replace(sample.femur, voxels=femur))


def _box(region: Mask) -> Box:
    d, h, w = (slice(int(axis.min()), int(axis.max()) + 1) for axis in np.nonzero(region))
    return d, h, w


def _slabs(box: Box, spacing_mm: float, reach_mm: float) -> Iterator[tuple[slice, slice]]:
    """Yield slices along D of slabs with their margins, and of what each of them is for."""
    depth, height, width = (one.stop - one.start for one in box)
    margin = int(np.ceil((reach_mm + BLUR_MARGIN_MM) / spacing_mm)) + SPLINE_MARGIN
    most = SLAB_VOXELS // (height * width)
    step = depth if depth <= most else max(most - 2 * margin, margin)
    for start in range(box[0].start, box[0].stop, step):
        stop = min(start + step, box[0].stop)
        slab = slice(max(start - margin, box[0].start), min(stop + margin, box[0].stop))
        yield slab, slice(start, stop)
