"""A volume as a browser gets it: cropped to the femur, upright, the patient's right on the left."""

import base64
import itertools
import math
import zlib
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from qctkit.boxes import Box, bounding_box
from qctkit.cohort import Sample
from qctkit.geometry import Geometry, Shape, Triple

Hu: TypeAlias = NDArray[np.int16]

MARGIN_MM = 8.0
"""Shown around the femur: enough to see what lies beside it."""

SMALL_HU, STEP_HU = 256, 4
"""Differences beyond the first are told in steps of the second, a quarter of a scan's noise."""

LEVELS_HU = np.concatenate(
    [np.arange(-1000, -200, 16), np.arange(-200, 1000, 8), np.arange(1000, 1880, 16)]
).astype(np.int16)
"""What each of the 255 codes of a scan stands for: soft tissue and bone to 4 HU, the rest to 8."""


@dataclass(frozen=True, eq=False)
class Stack:
    """A part of a volume ``(S, A, R)`` in HU, with the distances of its voxels in mm.

    Slices run from the top, rows from the front, columns from the patient's right.
    """

    voxels: Hu
    spacing_mm: Triple

    @property
    def shape(self) -> Shape:
        """Its shape ``(S, A, R)``."""
        s, a, r = self.voxels.shape
        return s, a, r

    def on(self, spacing_mm: float) -> "Stack":
        """Return the stack with voxels no finer than this, interpolated linearly; 0 leaves it."""
        if spacing_mm <= min(self.spacing_mm):
            return self
        factors = [min(1.0, one / spacing_mm) for one in self.spacing_mm]
        values = ndimage.zoom(self.voxels.astype(np.float32), factors, order=1, grid_mode=False)
        extent = np.array(self.voxels.shape) * self.spacing_mm
        d, h, w = (extent / values.shape).tolist()
        return Stack(np.rint(values).astype(np.int16), (d, h, w))


def stack_of(sample: Sample, box: Box) -> Stack:
    """Return what a box of array indices holds, turned upright."""
    order, flips = _upright(sample.volume.geometry)
    voxels = sample.volume.voxels[box].transpose(order)[flips]
    d, h, w = (sample.volume.spacing_mm[axis] for axis in order)
    limits = np.iinfo(np.int16)
    clipped = np.clip(np.rint(voxels), limits.min, limits.max)
    return Stack(np.ascontiguousarray(clipped, dtype=np.int16), (d, h, w))


def box_around(sample: Sample, margin_mm: float = MARGIN_MM) -> Box:
    """Return the box of array indices that holds the femur and a margin."""
    margin = [math.ceil(margin_mm / one) for one in sample.volume.spacing_mm]
    return bounding_box(sample.femur.voxels, margin)


def widest(sample: Sample, box: Box) -> tuple[int, int, int]:
    """Return along S, A and R the slice of ``stack_of`` that shows most of the femur."""
    order, flips = _upright(sample.volume.geometry)
    mask = sample.femur.voxels[box].transpose(order)[flips]
    s, a, r = (int(mask.sum(axis=across).argmax()) for across in ((1, 2), (0, 2), (0, 1)))
    return s, a, r


def coded(stack: Stack) -> str:
    """Return a scan as base64 of deflated codes, one byte a voxel; see ``LEVELS_HU``."""
    between = (LEVELS_HU[1:].astype(np.int32) + LEVELS_HU[:-1]) // 2
    return _base64(np.searchsorted(between, stack.voxels).astype(np.uint8))


def coded_difference(made: Stack, source: Stack) -> tuple[str, int]:
    """Return made less source as base64 of deflated int16, and the HU that one step stands for.

    Small differences are told to 1 HU, large ones to ``STEP_HU``. Low bytes come before high ones:
    the high ones are nearly all alike and take no room.
    """
    change = made.voxels.astype(np.int32) - source.voxels
    step = 1 if np.abs(change).max(initial=0) < SMALL_HU else STEP_HU
    steps = np.rint(change / step).astype("<i2")
    return _base64(np.moveaxis(steps.view(np.uint8).reshape(*steps.shape, 2), -1, 0)), step


def _upright(geometry: Geometry) -> tuple[tuple[int, int, int], Box]:
    """Return the array axes nearest to S, A and R, and what turns each downwards along it."""
    along = geometry.directions[::-1]  # rows S, A, R; columns array axes
    s, a, r = max(
        itertools.permutations(range(3)),
        key=lambda order: sum(abs(along[row, axis]) for row, axis in enumerate(order)),
    )
    d, h, w = (
        slice(None, None, -1 if along[row, axis] > 0 else 1) for row, axis in enumerate((s, a, r))
    )
    return (s, a, r), (d, h, w)


def _base64(values: NDArray[np.generic]) -> str:
    return base64.b64encode(zlib.compress(np.ascontiguousarray(values).tobytes(), 9)).decode()
