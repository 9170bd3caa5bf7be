"""Boxes of an array: what holds a mask, and what lies about a point."""

from collections.abc import Sequence

import numpy as np

from qctkit.geometry import FloatArray
from qctkit.volume import Mask

Box = tuple[slice, slice, slice]


def bounding_box(mask: Mask, margin: int | Sequence[int] = 0) -> Box:
    """Return the slices that hold a mask ``(D, H, W)`` and a margin of voxels, or all of it.

    An empty mask has the whole array as its box; a margin may be given for each axis.
    """
    slices = []
    margins = [margin] * 3 if isinstance(margin, int) else margin
    for axis, (length, more) in enumerate(zip(mask.shape, margins, strict=True)):
        others = tuple(other for other in range(3) if other != axis)
        seen = np.flatnonzero(mask.any(axis=others))
        first, last = (seen[0], seen[-1]) if len(seen) else (0, length - 1)
        slices.append(slice(max(0, int(first) - more), min(length, int(last) + 1 + more)))
    return slices[0], slices[1], slices[2]


def box_about(centre: Sequence[float] | FloatArray, reach: float, shape: tuple[int, ...]) -> Box:
    """Return the slices of the voxels within a reach of a point, along each axis."""
    d, h, w = (
        slice(max(0, int(c - reach)), max(0, min(n, int(c + reach) + 2)))
        for c, n in zip(centre, shape, strict=True)
    )
    return d, h, w


def distances(centre: Sequence[float] | FloatArray, box: Box) -> FloatArray:
    """Return the distance of each voxel of a box from a point, in voxels."""
    d, h, w = (np.arange(s.start, s.stop) - c for c, s in zip(centre, box, strict=True))
    return np.asarray(np.sqrt(d[:, None, None] ** 2 + h[:, None] ** 2 + w**2))
