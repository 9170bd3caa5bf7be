"""The part of an array about a point."""

from collections.abc import Sequence

import numpy as np

from qctkit.geometry import FloatArray
from qctkit.volume import Box


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
