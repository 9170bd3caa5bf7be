"""Implants: large pieces of metal in the scan."""

import numpy as np
from scipy import ndimage

from qctkit.geometry import Triple
from qctkit.volume import Mask, Volume

METAL_HU = 2500.0
"""Dense cortex ends below 2000 HU; steel and titanium saturate or come near it."""

LEAST_VOLUME_MM3 = 300.0
"""Smaller pieces are clips, seeds or specks of contrast, and no implant of a hip."""


def find_metal(volume: Volume) -> Mask:
    """Return the voxels ``(D, H, W)`` of pieces of metal large enough to be an implant."""
    metal = volume.voxels > METAL_HU
    if not metal.any():
        return metal
    (box,) = ndimage.find_objects(metal.astype(np.uint8))
    labels, count = ndimage.label(metal[box])
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    large = sizes * volume.geometry.voxel_volume_mm3 >= LEAST_VOLUME_MM3
    large[0] = False
    metal[box] = large[labels]
    return metal


def metal_near(mask: Mask, metal: Mask, spacing_mm: Triple, reach_mm: float) -> bool:
    """Whether a piece of metal lies within a distance of a mask."""
    if not metal.any() or not mask.any():
        return False
    (tight,) = ndimage.find_objects(mask.astype(np.uint8))
    margins = np.ceil(np.divide(reach_mm, spacing_mm)).astype(int)
    box = tuple(
        slice(max(0, side.start - margin), side.stop + margin)
        for side, margin in zip(tight, margins, strict=True)
    )
    if not metal[box].any():
        return False
    away_mm = ndimage.distance_transform_edt(~metal[box], sampling=spacing_mm)
    return bool((away_mm[mask[box]] < reach_mm).any())
