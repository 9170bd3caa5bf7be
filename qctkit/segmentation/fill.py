"""Hollow bone made solid, slice by slice."""

import numpy as np
from scipy import ndimage

from qctkit.boxes import bounding_box
from qctkit.volume import Mask


def fill_planes(mask: Mask, largest_hole: int) -> Mask:
    """Return the mask with holes in its axial, coronal and sagittal planes filled.

    A plane's border counts as a wall, one side at a time, so that bone which the scan cuts is
    filled too; ``largest_hole`` (pixels) keeps such a wall from filling the muscle between a
    bone and the border.
    """
    filled = mask.copy()
    box = bounding_box(mask, 1)  # what lies outside is one with the ring about the mask
    for axis in range(3):
        moved = np.moveaxis(mask[box], axis, 0)
        target = np.moveaxis(filled[box], axis, 0)
        target |= _holes(moved, largest_hole)
    return filled


def _holes(planes: Mask, largest_hole: int) -> Mask:
    """Return the holes in each plane ``[i]`` of a mask."""
    in_plane = ndimage.generate_binary_structure(3, 1)
    in_plane[[0, 2]] = False
    parts, count = ndimage.label(~planes, in_plane)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    touched = np.zeros(count + 1, dtype=int)
    for side in (parts[:, 0], parts[:, -1], parts[:, :, 0], parts[:, :, -1]):
        touched[np.unique(side)] += 1
    fills = (touched == 0) | ((touched == 1) & (sizes <= largest_hole))
    fills[0] = False
    return np.asarray(fills[parts])
