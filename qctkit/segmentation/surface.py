"""The surface of a femoral head, found along rays from its centre.

The head and the acetabulum touch in many slices, but all around the head there is a step down
from its subchondral bone into the joint space. On each ray the steepest such step is looked for
near a fitted sphere, and neighbouring rays must agree.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from qctkit.geometry import FloatArray
from qctkit.segmentation.heads import HeadCandidate
from qctkit.segmentation.rays import sphere_directions

RAYS = 2500
"""About 2 mm between neighbours on the surface of a head."""

SEARCH_RAYS = 250
STEP_MM = 0.5
RADII_MM = np.arange(15.0, 33.0, STEP_MM)
HU_RANGE = (-50.0, 900.0)

HEAD_RADII_MM = np.arange(18.0, 29.5, 0.5)
"""Radii of heads: 38 to 56 mm across in adults."""

NECK_COSINE = 0.55
"""Rays within 57 degrees of the neck's axis meet the neck and tell nothing of the sphere."""

SUFFICIENT_STEP_HU_PER_MM = 50.0
"""A step as steep as this counts fully; a steeper one, like the outer wall of the acetabulum
towards muscle or air, counts no more."""

TEXTURE_HU = 70.0
VALLEY_HU = 80.0
"""A ray that has crossed a dark gap this much deeper than trabecular texture has most likely
left the head."""

MEMORY_MM = 8.0
"""How long a ray remembers a gap: longer than the acetabulum is thick, shorter than a head."""

TYPICAL_RADIUS_MM = 23.5
RADIUS_SPREAD_MM = 6.0
"""A weak preference, in which 18 and 29 mm lose about a third of their quality."""

WIDEST_GAP_MM = 5.0
NECKWARD_SPREAD_MM = 3.0
"""How readily the fit moves from the ball towards the neck, which is round as well."""

REACH_MM = 3.0
"""Largest distance of the surface from the fitted sphere."""

HIDDEN_WEIGHT = 0.5
"""Weight of rays that leave the scan, which count as finding nothing."""

SMOOTHNESS_PER_MM2 = 0.15
"""Cost of leaving the neighbours' mean, against a sufficient step costing -1."""


@dataclass(frozen=True, eq=False)
class HeadSurface:
    """A star-shaped surface about a centre, in grid indices and mm.

    Attributes:
        centre: ``(d, h, w)``.
        radius_mm: radius of the fitted sphere.
        neck: unit vector from the centre towards the neck.
        directions: unit vectors of the rays, ``(RAYS, 3)``.
        radii_mm: distance of the surface along each ray.
        quality: part (0 to 1) of the rays off the neck that end in a step at the sphere.
    """

    centre: FloatArray
    radius_mm: float
    neck: FloatArray
    directions: FloatArray
    radii_mm: FloatArray
    quality: float


def find_surface(
    image_hu: NDArray[np.float32], spacing_mm: float, head: HeadCandidate
) -> HeadSurface:
    """Return the surface of a head, with its centre and radius fitted anew."""
    smooth = ndimage.gaussian_filter(np.clip(image_hu, *HU_RANGE), 0.8 / spacing_mm)
    bend = np.array(head.ball.centre) + head.neck * 45.0 / spacing_mm
    anchor = np.array(head.ball.centre)
    centre, radius_mm, quality = anchor, 0.0, 0.0
    for reach_mm, grid_mm in ((8.0, 2.0), (2.0, 1.0), (0.5, 0.5)):
        centre, radius_mm, quality = _best_sphere(
            smooth, centre, anchor, head.neck, np.arange(-reach_mm, reach_mm + 0.1, grid_mm), spacing_mm
        )
    neck = (bend - centre) / np.linalg.norm(bend - centre)
    directions = sphere_directions(RAYS)
    rewards = _rewards(smooth, centre[None], directions, spacing_mm)[0]
    radii_mm = _smooth_surface(np.nan_to_num(rewards), directions, radius_mm)
    return HeadSurface(centre, radius_mm, neck, directions, radii_mm, quality)


def _best_sphere(
    smooth: NDArray[np.float32],
    start: FloatArray,
    anchor: FloatArray,
    neck: FloatArray,
    shifts_mm: FloatArray,
    spacing_mm: float,
) -> tuple[FloatArray, float, float]:
    """Return centre, radius and quality of the sphere with most steps on its surface."""
    grid = np.stack(np.meshgrid(shifts_mm, shifts_mm, shifts_mm, indexing="ij"), -1)
    centres = start + grid.reshape(-1, 3) / spacing_mm
    directions = sphere_directions(SEARCH_RAYS)
    rewards = _rewards(smooth, centres, directions, spacing_mm)
    away = np.broadcast_to(directions @ neck < NECK_COSINE, rewards.shape[:2])
    seen = np.isfinite(rewards) & away[:, :, None]
    total = np.where(seen, rewards, 0.0).sum(axis=1)
    hidden = away.sum(axis=1)[:, None] - seen.sum(axis=1)
    quality = total / (seen.sum(axis=1) + HIDDEN_WEIGHT * hidden + 1.0)
    quality = ndimage.gaussian_filter1d(quality, 0.7 / STEP_MM, axis=1)
    quality *= np.exp(-0.5 * ((RADII_MM - TYPICAL_RADIUS_MM) / RADIUS_SPREAD_MM) ** 2)
    towards_neck_mm = np.clip((centres - anchor) @ neck * spacing_mm, 0.0, None)
    quality *= np.exp(-0.5 * (towards_neck_mm / NECKWARD_SPREAD_MM) ** 2)[:, None]
    allowed = (RADII_MM >= HEAD_RADII_MM[0]) & (RADII_MM <= HEAD_RADII_MM[-1])
    quality[:, ~allowed] = -1.0
    best, radius = np.unravel_index(int(quality.argmax()), quality.shape)
    return centres[best], float(RADII_MM[radius]), float(quality[best, radius])


def _rewards(
    smooth: NDArray[np.float32], centres: FloatArray, directions: FloatArray, spacing_mm: float
) -> FloatArray:
    """Return how likely each ray leaves the head at each radius, ``(centres, rays, radii)``.

    From 0, no step down, to 1, a sufficient step with no dark gap before it; NaN outside the
    scan.
    """
    radii = np.append(RADII_MM - STEP_MM, [RADII_MM[-1], RADII_MM[-1] + STEP_MM]) / spacing_mm
    offsets = directions[:, None, :] * radii[None, :, None]
    points = np.moveaxis(centres[:, None, None, :] + offsets[None], -1, 0)
    values = ndimage.map_coordinates(smooth, points, order=1, cval=np.nan, output=np.float32)
    step = (values[..., :-2] - values[..., 2:]) / (2 * STEP_MM)
    depth = _valley_depth(values[..., 1:-1])
    window = round(MEMORY_MM / STEP_MM)
    depth = ndimage.maximum_filter1d(depth, window, axis=-1, origin=window // 2 - 1)
    excess = np.clip(depth - TEXTURE_HU, 0.0, None)
    reward = np.clip(step / SUFFICIENT_STEP_HU_PER_MM, -1.0, 1.0)
    return np.asarray(reward * np.exp(-excess / VALLEY_HU), dtype=np.float32)


def _valley_depth(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the depth, HU, of the valley that each ray has climbed out of at each radius."""
    fall = np.fmax.accumulate(values, axis=-1) - values
    depth = np.zeros_like(values)
    for lag in range(1, round(WIDEST_GAP_MM / STEP_MM) + 1):
        climb = values[..., lag:] - values[..., :-lag]
        depth[..., lag:] = np.fmax(depth[..., lag:], np.fmin(fall[..., :-lag], climb))
    return depth


def _smooth_surface(rewards: FloatArray, directions: FloatArray, radius_mm: float) -> FloatArray:
    """Return radii of a smooth surface through steep steps, by iterated conditional modes."""
    near = np.abs(RADII_MM - radius_mm) <= REACH_MM
    cost = -rewards[:, near]
    candidates = RADII_MM[near]
    _, neighbours = cKDTree(directions).query(directions, k=13)
    radii = np.full(len(directions), radius_mm)
    for weight in np.linspace(0.25, 1.0, 25) * SMOOTHNESS_PER_MM2:
        mean = radii[neighbours[:, 1:]].mean(axis=1)
        away = (candidates[None, :] - mean[:, None]) ** 2
        radii = candidates[(cost + weight * away).argmin(axis=1)]
    return np.asarray(radii[neighbours].mean(axis=1))
