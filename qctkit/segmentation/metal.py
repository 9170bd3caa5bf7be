"""Implants: large pieces of metal in the scan."""

import numpy as np
from scipy import ndimage

from qctkit.volume import Mask, Volume

METAL_HU = 2500.0
"""Dense cortex ends below 2000 HU; steel and titanium saturate or come near it."""

LEAST_VOLUME_MM3 = 300.0
"""Smaller pieces are clips, seeds or specks of contrast, and no implant of a hip."""


def find_metal(volume: Volume) -> Mask:
    """Return the voxels ``(D, H, W)`` of pieces of metal large enough to be an implant."""
    labels, count = ndimage.label(volume.voxels > METAL_HU)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    large = sizes * volume.geometry.voxel_volume_mm3 >= LEAST_VOLUME_MM3
    large[0] = False
    return np.asarray(large[labels])
