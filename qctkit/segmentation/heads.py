"""Which ball is a femoral head: the one from which solid bone leads to a shaft."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from qctkit.boxes import box_about, distances
from qctkit.geometry import FloatArray
from qctkit.segmentation.fill import fill_planes
from qctkit.segmentation.rays import sphere_directions
from qctkit.segmentation.shafts import LEAST_OFFSET_MM, Shaft, find_shafts
from qctkit.segmentation.spheres import Ball, find_balls
from qctkit.volume import Mask

BONE_HU = 140.0
"""Bone for the search: above muscle with contrast, below the thin cortex of a trochanter."""

TRABECULAR_HU = (100.0, 750.0)
"""What fills a head. A shaft, which looks like a ball from above, holds fat and dense cortex."""

LEAST_TRABECULAR = 0.75
"""Least part of a head's inner ball in the trabecular range; seen: 0.89 and more."""

LARGEST_HOLE_MM2 = 1200.0
"""Largest hole filled against the border of the scan: the cross-section of a cut trochanter."""

NECK_REACH_MM = (38.0, 72.0)
"""Distance from a head's centre to where the axes of neck and shaft may meet."""

NECK_SHAFT_COSINE, COSINE_SPREAD = 0.57, 0.25
"""Cosine between neck and shaft, both pointing away from the head: 125 degrees, as anatomists
count it, give or take 18."""

LARGEST_RISE = 0.35
"""Largest upward part of a neck's direction from the head: 20 degrees."""

LEAST_HEIGHT_MM = 35.0
"""Least height of a head above the middle of the shaft in view, along the shaft."""

NECK_LENGTH_MM = 40.0
"""Length of neck looked for where the scan ends above the shaft."""

HIP_FROM_MIDLINE_MM = (70.0, 140.0)
"""Distance of a head's centre from the body's midline, 75 to 110 mm in adults."""

LEAST_SOLIDITY = 0.55
"""Least part of solid bone, over 8 mm, along a neck."""

OUTSIDE_SCAN = 0.6
"""Solidity taken for bone that the scan does not show: better than muscle, worse than bone."""

CANDIDATES = 25


@dataclass(frozen=True)
class HeadCandidate:
    """A ball with the way from it to a shaft.

    Attributes:
        ball: centre and radius in the grid's indices and mm.
        neck: unit vector ``(d, h, w)`` from the head towards the shaft.
        score: votes of the edges, weighted by filling and by solidity of the way.
    """

    ball: Ball
    neck: FloatArray
    score: float


def find_heads(image_hu: NDArray[np.float32], spacing_mm: float) -> list[HeadCandidate]:
    """Return likely femoral heads of an image on an RAS grid, best first.

    Heads that lead to a shaft come before those for which the scan shows none.
    """
    smooth = ndimage.gaussian_filter(image_hu, 2.0 / spacing_mm)
    solid = solid_bone(image_hu, spacing_mm, BONE_HU).astype(np.float32)
    solidity = ndimage.gaussian_filter(solid, 4.0 / spacing_mm, mode="nearest")
    shafts = find_shafts(image_hu, spacing_mm)
    middle = _midline(image_hu)
    with_shaft: list[HeadCandidate] = []
    without: list[HeadCandidate] = []
    for ball in find_balls(image_hu, spacing_mm, CANDIDATES):
        filling = _trabecular_part(smooth, ball, spacing_mm)
        if filling < LEAST_TRABECULAR:
            continue
        head = np.array(ball.centre)
        ways = [_neck_to_shaft(solidity, head, shaft, spacing_mm) for shaft in shafts]
        found = with_shaft
        solid_part, bend = max(ways, key=lambda way: way[0], default=(0.0, head))
        if solid_part <= LEAST_SOLIDITY:
            found = without
            solid_part, bend = _neck_sideways(solidity, head, middle, spacing_mm)
        if solid_part > LEAST_SOLIDITY:
            neck = (bend - head) / np.linalg.norm(bend - head)
            found.append(HeadCandidate(ball, neck, ball.score * (filling * solid_part) ** 2))
    best_first = sorted(with_shaft, key=lambda candidate: -candidate.score)
    return best_first + sorted(without, key=lambda candidate: -candidate.score)


def solid_bone(image_hu: NDArray[np.float32], spacing_mm: float, bone_hu: float) -> Mask:
    """Return bone with its marrow: voxels above ``bone_hu``, filled plane by plane."""
    bright = ndimage.gaussian_filter(image_hu, 1.0 / spacing_mm) > bone_hu
    steps = max(1, round(2.0 / spacing_mm))
    closed = ndimage.binary_closing(np.pad(bright, steps + 1, mode="edge"), iterations=steps)
    inner = slice(steps + 1, -steps - 1)
    return fill_planes(closed[inner, inner, inner], int(LARGEST_HOLE_MM2 / spacing_mm**2))


def _trabecular_part(smooth: NDArray[np.float32], ball: Ball, spacing_mm: float) -> float:
    reach = 0.75 * ball.radius_mm / spacing_mm
    box = box_about(ball.centre, reach, smooth.shape)
    values = smooth[box][distances(ball.centre, box) < reach]
    if values.size * spacing_mm**3 < 1500.0:
        return 0.0
    low, high = TRABECULAR_HU
    return float(np.mean((values > low) & (values < high)))


def _midline(image_hu: NDArray[np.float32]) -> float:
    """Return the index w of the body's middle: the mean of all that is not air."""
    columns = (image_hu > -300.0).sum(axis=(0, 1))
    return float(np.average(np.arange(len(columns)), weights=columns + 1e-9))


def _neck_to_shaft(
    solidity: NDArray[np.float32], head: FloatArray, shaft: Shaft, spacing_mm: float
) -> tuple[float, FloatArray]:
    """Return the weakest solidity of the best way head - bend - shaft, and where it bends."""
    nothing = (0.0, head + 1.0)
    if (head - shaft.centre) @ shaft.down * spacing_mm > -LEAST_HEIGHT_MM:
        return nothing
    weight = shaft.weight_of_offset(head, spacing_mm)
    steps = sphere_directions(800)[None] * np.arange(*NECK_REACH_MM, 6.0)[:, None, None]
    bends = head + steps.reshape(-1, 3) / spacing_mm
    onward = shaft.centre - bends
    onward /= np.linalg.norm(onward, axis=1, keepdims=True)
    aside = np.cross(head - bends, onward)
    offset_mm = np.linalg.norm(aside, axis=1) * spacing_mm
    inside = ((bends >= 0) & (bends < solidity.shape)).all(axis=1)
    rise = (bends - head)[:, 0] / np.linalg.norm(bends - head, axis=1)
    bends = bends[(offset_mm > LEAST_OFFSET_MM) & inside & (rise < LARGEST_RISE)]
    if len(bends) == 0 or weight == 0.0:
        return nothing
    to_bend = _weakest(solidity, head, bends)
    bends = bends[to_bend > LEAST_SOLIDITY]
    if len(bends) == 0:
        return nothing
    solid = np.minimum(to_bend[to_bend > LEAST_SOLIDITY], _weakest(solidity, shaft.centre, bends))
    necks = (bends - head) / np.linalg.norm(bends - head, axis=1, keepdims=True)
    unusual = ((necks @ shaft.down - NECK_SHAFT_COSINE) / COSINE_SPREAD) ** 2
    best = int((solid * np.exp(-0.5 * unusual)).argmax())
    return weight * float(solid[best]), bends[best]


def _ends_sideways(head: FloatArray, middle: float, spacing_mm: float) -> FloatArray:
    """Return ends of necks that point away from the midline, where a hip can be."""
    from_middle_mm = (head[2] - middle) * spacing_mm
    low, high = HIP_FROM_MIDLINE_MM
    if not low < abs(from_middle_mm) < high:
        return np.empty((0, 3))
    directions = sphere_directions(600)
    outward = directions[:, 2] * np.sign(from_middle_mm)
    chosen = (outward > 0.3) & (np.abs(directions[:, 0] + 0.45) < 0.45)
    return np.asarray(head + directions[chosen] * NECK_LENGTH_MM / spacing_mm)


def _neck_sideways(
    solidity: NDArray[np.float32], head: FloatArray, middle: float, spacing_mm: float
) -> tuple[float, FloatArray]:
    """Return the weakest solidity of the best neck away from the midline, and its end."""
    ends = _ends_sideways(head, middle, spacing_mm)
    if len(ends) == 0:
        return 0.0, head + 1.0
    solid = _weakest(solidity, head, ends)
    best = int(solid.argmax())
    return float(solid[best]), ends[best]


def _weakest(solidity: NDArray[np.float32], start: FloatArray, ends: FloatArray) -> FloatArray:
    """Return the least solidity on the straight way from a point to each end ``(ends, 3)``."""
    fractions = np.linspace(0.0, 1.0, 30)[None, :, None]
    points = np.moveaxis(start + (ends - start)[:, None, :] * fractions, -1, 0)
    values = ndimage.map_coordinates(solidity, points, order=1, cval=OUTSIDE_SCAN)
    return np.asarray(values.min(axis=1), dtype=np.float64)
