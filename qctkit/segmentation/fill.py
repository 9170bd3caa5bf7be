"""Hollow bone made solid, slice by slice."""

import numpy as np
from scipy import ndimage

from qctkit.volume import Mask


def fill_planes(mask: Mask, largest_hole: int) -> Mask:
    """Return the mask with holes in its axial, coronal and sagittal planes filled.

    A plane's border counts as a wall, one side at a time, so that bone which the scan cuts is
    filled too; ``largest_hole`` (pixels) keeps such a wall from filling the muscle between a
    bone and the border.
    """
    filled = mask.copy()
    for axis in range(3):
        moved = np.moveaxis(mask, axis, 0)
        target = np.moveaxis(filled, axis, 0)
        for plane, result in zip(moved, target, strict=True):
            if plane.any():
                result |= _fill_plane(plane, largest_hole)
    return filled


def _fill_plane(plane: Mask, largest_hole: int) -> Mask:
    holes, count = ndimage.label(~plane)
    if count < 2:
        return plane
    sizes = np.bincount(holes.ravel())
    sides = (holes[0], holes[-1], holes[:, 0], holes[:, -1])
    touched = np.zeros(count + 1, dtype=int)
    for side in sides:
        touched[np.unique(side)] += 1
    fills = (touched == 0) | ((touched == 1) & (sizes <= largest_hole))
    fills[0] = False
    return np.asarray(plane | fills[holes])
