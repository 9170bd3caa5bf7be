"""Masks grown, shrunk and closed by a distance in mm."""

import numpy as np

from qctkit.volume import Mask


def grow(mask: Mask, distance_mm: float, spacing_mm: float) -> Mask:
    """Return the mask grown by about a distance, by turns along axes and diagonals."""
    for turn in range(max(1, round(distance_mm / spacing_mm))):
        mask = _with_diagonals(mask) if turn % 2 else _with_neighbours(mask)
    return mask


def shrink(mask: Mask, distance_mm: float, spacing_mm: float) -> Mask:
    """Return the mask shrunk by about a distance, but not from the border of the scan."""
    return ~grow(~mask, distance_mm, spacing_mm)


def close(mask: Mask, radius_mm: float, spacing_mm: float) -> Mask:
    """Return the mask with gaps up to twice a radius bridged; the border counts as its mirror."""
    margin = int(np.ceil(radius_mm / spacing_mm)) + 1
    padded = np.pad(mask, margin, mode="edge")
    closed = shrink(grow(padded, radius_mm, spacing_mm), radius_mm, spacing_mm)
    inner = slice(margin, -margin)
    return np.asarray(closed[inner, inner, inner] | mask)


def _with_neighbours(mask: Mask) -> Mask:
    """Return the mask and the 6 neighbours of its voxels, many times faster than by structure."""
    grown = mask.copy()
    for axis in range(3):
        _spread(mask, grown, axis)
    return grown


def _with_diagonals(mask: Mask) -> Mask:
    """Return the mask and the 18 neighbours of its voxels: three squares, one per plane."""
    grown = mask.copy()
    for axis, other in ((0, 1), (1, 2), (2, 0)):
        line = mask.copy()
        _spread(mask, line, axis)
        grown |= line
        _spread(line, grown, other)
    return grown


def _spread(source: Mask, target: Mask, axis: int) -> None:
    """Put into ``target`` what lies one voxel along an axis from ``source``, either way."""
    moved, into = np.moveaxis(source, axis, 0), np.moveaxis(target, axis, 0)
    into[1:] |= moved[:-1]
    into[:-1] |= moved[1:]
