"""Reasons to look at a femur's mask before trusting it, in plain words."""

import numpy as np

from qctkit.boxes import bounding_box
from qctkit.geometry import Geometry
from qctkit.segmentation.surface import SOUND_QUALITY, HeadSurface
from qctkit.volume import Mask

WHOLE_HEAD = 0.9
"""Least part of a head's surface that must be in the scan for it to count as whole."""

LESSER_TROCHANTER_MM = 70.0
"""Height of a head's centre above the lower end of the lesser trochanter, about 55 to 70 mm in
adults."""

SMALLEST_CM3 = 90.0
"""Head, neck and trochanters of an adult fill more."""


def find_doubts(
    mask: Mask, geometry: Geometry, surface: HeadSurface, head_z_mm: float
) -> tuple[str, ...]:
    """Return the doubts about a mask ``(D, H, W)`` whose head lies at a world height, mm."""
    doubts = []
    if surface.quality < SOUND_QUALITY:
        doubts.append(
            f"head quality {surface.quality:.2f} (sound from {SOUND_QUALITY}): the border between "
            "head and acetabulum is uncertain"
        )
    if surface.in_view < WHOLE_HEAD:
        doubts.append(f"the head is cut by the scan: {surface.in_view:.0%} of it is in view")
    below_mm = head_z_mm - _lowest_mm(mask, geometry)
    if below_mm < LESSER_TROCHANTER_MM:
        doubts.append(
            f"the femur ends {below_mm:.0f} mm below the centre of its head: the lesser trochanter "
            "may be missing"
        )
    volume_cm3 = np.count_nonzero(mask) * geometry.voxel_volume_mm3 / 1000.0
    if volume_cm3 < SMALLEST_CM3:
        doubts.append(f"the femur fills only {volume_cm3:.0f} cm3: a part of it is missing")
    return tuple(doubts)


def _lowest_mm(mask: Mask, geometry: Geometry) -> float:
    """Return the world height of a mask's lowest voxel, mm."""
    box = bounding_box(mask)
    return float(geometry.crop(box).to_world(np.argwhere(mask[box]))[:, 2].min())
