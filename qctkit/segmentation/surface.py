"""The surface of a femoral head, found along rays from its centre.

The head and the acetabulum touch in many slices, but all around the head there is a step down
from its subchondral bone into the joint space. On each ray the steepest such step is looked for
near a fitted sphere, and neighbouring rays must agree.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from qctkit.geometry import FloatArray, Geometry
from qctkit.segmentation.heads import HeadCandidate
from qctkit.segmentation.rays import sphere_directions

SOUND_QUALITY = 0.48
"""Quality below which a head's surface is unsure: 0.94 and more in simulated hips, 0.5 and more
in real ones whose whole head is in the scan at good contrast."""

RAYS = 2500
"""About 2 mm between neighbours on the surface of a head."""

SEARCH_RAYS = 250
STEP_MM = 0.5
RADII_MM = np.arange(15.0, 33.0, STEP_MM)
HU_RANGE = (-50.0, 900.0)

HEAD_RADII_MM = (18.0, 29.0)
"""Radii of heads: 38 to 56 mm across in adults."""

NECK_COSINE = 0.68
"""Rays within 47 degrees of the neck's axis meet the neck and tell nothing of the sphere."""

SUFFICIENT_STEP_HU_PER_MM = 50.0
"""A step as steep as this counts fully; a steeper one, like the outer wall of the acetabulum
towards muscle or air, counts no more."""

BEYOND_MM = 1.5
WITHIN_MM = 3.0
BRIGHT_HU = 300.0
DARK_WEIGHT = 0.4
"""Beyond the surface lies something darker than bone: a sphere within the head, whose rays end
in trabecular bone, is worth less."""

JOINT_WEIGHT = 0.75
JOINT_HU = 200.0
JOINT_REACH_MM = 5.0
"""A gap this deep, with bone again within this distance, is the joint space between the head and
its acetabulum. A sphere about the neck or the acetabulum meets none; the lower and outer part of
a head has none either, so that a ray without one is worth less, not nothing."""

DARK_HU = 60.0
"""Just within the surface lies bone all round: a sphere about the neck or the acetabulum, with
muscle inside, is worth less."""

REACH_WIDE_MM = 15.0
REACH_AGAIN_MM = 12.0
FOLLOWED_UP = 20
MOST_PASSES = 3
LEAST_GAIN = 1.15
"""The search starts again from what it found for as long as that gains this factor."""

CLEAR_QUALITY = 0.9
"""The search does not start again from a fit as good as this: in a clear joint it is about 1, so
that the factor above is out of reach."""

NECK_END_MM = 45.0
TEXTURE_HU = 70.0
VALLEY_HU = 80.0
"""A ray that has crossed a dark gap this much deeper than trabecular texture has most likely
left the head."""

MEMORY_MM = 8.0
"""How long a ray remembers a gap: longer than the acetabulum is thick, shorter than a head."""

ROOF_RISE = (0.2, 0.5)
ROOF_WEIGHT = 0.1
"""Rays that point up meet the roof of the acetabulum, where the joint space is thinnest and
thick slices blur it away; they count less, from the first rise (upward part) to the second."""

TYPICAL_RADIUS_MM = 24.0
RADIUS_SPREAD_MM = 6.0
"""A weak preference, in which 18 and 29 mm lose about a third of their quality."""

WIDEST_GAP_MM = 5.0
SHIFT_SPREAD_MM = 24.0
"""How readily the fit moves from the ball in any direction."""

REACH_MM = 2.5
"""Largest distance of the surface from the fitted sphere."""

HIDDEN_WEIGHT = 0.7
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
        quality: mean worth of the rays off the neck that end in a step and a joint space at the
            sphere; about 1 in a clear joint, below ``SOUND_QUALITY`` where the fit is unsure.
        in_view: part (0 to 1) of the rays off the neck whose end the scan shows.
    """

    centre: FloatArray
    radius_mm: float
    neck: FloatArray
    directions: FloatArray
    radii_mm: FloatArray
    quality: float
    in_view: float

    def on(self, grid: Geometry, other: Geometry) -> "HeadSurface":
        """Return the surface in the indices of another grid with the same axes."""
        return replace(self, centre=other.to_index(grid.to_world(self.centre)))


def find_surface(
    image_hu: NDArray[np.float32], spacing_mm: float, head: HeadCandidate
) -> HeadSurface:
    """Return the surface of a head, with its centre and radius fitted anew."""
    fit = SphereFit.of(image_hu, spacing_mm, head)
    centre, radius_mm, quality = fit.best(REACH_WIDE_MM)
    for _ in range(MOST_PASSES if quality < CLEAR_QUALITY else 0):
        again = replace(fit, anchor=centre).best(REACH_AGAIN_MM)
        if again[2] <= quality * LEAST_GAIN:
            break
        centre, radius_mm, quality = again
    bend = np.array(head.ball.centre) + head.neck * NECK_END_MM / spacing_mm
    neck = (bend - centre) / np.linalg.norm(bend - centre)
    directions = sphere_directions(RAYS)
    steps = _sample(fit.smooth, centre[None], directions, spacing_mm)[1][:, 0].T
    rewards = np.nan_to_num(steps) * _ray_weights(directions)[:, None]
    radii_mm = _smooth_surface(rewards, directions, radius_mm)
    off_neck = directions @ neck < NECK_COSINE
    at_sphere = steps[off_neck, np.abs(RADII_MM - radius_mm).argmin()]
    in_view = float(np.isfinite(at_sphere).mean())
    return HeadSurface(centre, radius_mm, neck, directions, radii_mm, quality, in_view)


@dataclass(frozen=True, eq=False)
class SphereFit:
    """A search for the sphere with most of a head's surface on it.

    Attributes:
        smooth: the image, HU, a little blurred.
        spacing_mm: spacing of its grid.
        anchor: where the ball was found, in grid indices.
        neck: unit vector towards the neck.
    """

    smooth: NDArray[np.float32]
    spacing_mm: float
    anchor: FloatArray
    neck: FloatArray

    @classmethod
    def of(
        cls, image_hu: NDArray[np.float32], spacing_mm: float, head: HeadCandidate
    ) -> "SphereFit":
        """Return the fit of one candidate."""
        smooth = ndimage.gaussian_filter(np.clip(image_hu, *HU_RANGE), 0.5 / spacing_mm)
        return cls(smooth, spacing_mm, np.array(head.ball.centre), head.neck)

    def best(self, reach_mm: float) -> tuple[FloatArray, float, float]:
        """Return centre, radius (mm) and quality of the best sphere near the ball.

        The quality has narrow peaks where a thin joint space is met all round, so that the best
        dozen places of a wide grid are all followed up.
        """
        wide = self.anchor + _shifts(reach_mm, 3.0) / self.spacing_mm
        parts = np.array_split(wide, len(wide) // 50)  # what fits the processor's cache is fast
        quality = np.concatenate([self.evaluate(part, SEARCH_RAYS // 4)[1] for part in parts])
        starts = _spread(wide, quality, FOLLOWED_UP, 3.5 / self.spacing_mm)
        for step_mm in (1.75, 1.0, 0.5):
            around = _shifts(step_mm, step_mm) / self.spacing_mm
            rays = SEARCH_RAYS // 2 if len(starts) > 3 else SEARCH_RAYS
            found = [self._best_of(start + around, rays) for start in starts]
            found.sort(key=lambda sphere: -sphere[2])
            starts = [sphere[0] for sphere in found[:3]]
        return found[0]

    def _best_of(self, centres: FloatArray, rays: int) -> tuple[FloatArray, float, float]:
        radii_mm, quality = self.evaluate(centres, rays)
        best = int(quality.argmax())
        return centres[best], float(radii_mm[best]), float(quality[best])

    def evaluate(self, centres: FloatArray, rays: int) -> tuple[FloatArray, FloatArray]:
        """Return the best radius (mm) about each centre ``(n, 3)`` and its quality."""
        directions = sphere_directions(rays)
        directions = directions[directions @ self.neck < NECK_COSINE]
        weights = _ray_weights(directions).astype(np.float32)
        values, steps = _sample(self.smooth, centres, directions, self.spacing_mm)
        beyond = np.roll(values, -round(BEYOND_MM / STEP_MM), axis=0)
        within = np.roll(values, round(WITHIN_MM / STEP_MM), axis=0)
        dark = np.clip((BRIGHT_HU - beyond) / BRIGHT_HU, -1.0, 1.0)
        rewards = (steps + DARK_WEIGHT * dark) / (1.0 + DARK_WEIGHT)
        rewards += JOINT_WEIGHT * _joint_depth(values)
        total = np.nan_to_num(rewards) @ weights
        shown = np.isfinite(rewards) @ weights
        quality = total / (shown + HIDDEN_WEIGHT * (weights.sum() - shown) + 1.0)
        bone = (within > DARK_HU).sum(axis=2) / np.maximum(np.isfinite(within).sum(axis=2), 1)
        quality *= np.where(quality > 0.0, bone, 1.0)
        quality = ndimage.gaussian_filter1d(quality, 0.7 / STEP_MM, axis=0)
        unusual = (RADII_MM[:, None] - TYPICAL_RADIUS_MM) / RADIUS_SPREAD_MM
        moved_mm = np.linalg.norm(centres - self.anchor, axis=1) * self.spacing_mm
        quality *= np.exp(-0.5 * (unusual**2 + (moved_mm / SHIFT_SPREAD_MM) ** 2))
        quality[(HEAD_RADII_MM[0] > RADII_MM) | (HEAD_RADII_MM[1] < RADII_MM)] = -1.0
        return RADII_MM[quality.argmax(axis=0)], quality.max(axis=0)


def _shifts(reach_mm: float, step_mm: float) -> FloatArray:
    """Return the points of a cubic grid about the origin, mm, ``(n, 3)``."""
    axis = np.arange(-reach_mm, reach_mm + 1e-6, step_mm)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)


def _spread(
    points: FloatArray, quality: FloatArray, count: int, distance: float
) -> list[FloatArray]:
    """Return the best points that lie at least a distance apart."""
    chosen: list[FloatArray] = []
    for index in np.argsort(-quality, kind="stable"):
        if all(np.linalg.norm(points[index] - other) >= distance for other in chosen):
            chosen.append(points[index])
        if len(chosen) == count:
            break
    return chosen


def _ray_weights(directions: FloatArray) -> FloatArray:
    """Return the weight of each ray, 1 but for those towards the roof of the acetabulum."""
    return np.asarray(np.interp(directions[:, 0], ROOF_RISE, (1.0, ROOF_WEIGHT)))


def _sample(
    smooth: NDArray[np.float32], centres: FloatArray, directions: FloatArray, spacing_mm: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return HU and steps along rays from centres, both ``(radii, centres, rays)``.

    A step is 1 where HU fall sufficiently with no dark gap before, 0 where they do not fall,
    negative where they rise; NaN outside the scan.
    """
    radii = np.append(RADII_MM - STEP_MM, [RADII_MM[-1], RADII_MM[-1] + STEP_MM]) / spacing_mm
    offsets = directions.T[:, None, None, :] * radii[:, None, None]
    points = centres.T[:, None, :, None] + offsets
    values = ndimage.map_coordinates(smooth, points, order=1, cval=np.nan, output=np.float32)
    fall = (values[:-2] - values[2:]) / (2 * STEP_MM)
    inner = values[1:-1]
    return inner, np.clip(fall / SUFFICIENT_STEP_HU_PER_MM, -1.0, 1.0) * _passed_gap(inner)


def _passed_gap(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 1 where a ray has met no gap of late, falling to 0 beyond a deep one."""
    depth = np.nan_to_num(_valley_depth(values))
    window = round(MEMORY_MM / STEP_MM)
    depth = _largest_of_last(depth, window)
    return np.asarray(np.exp(-np.clip(depth - TEXTURE_HU, 0.0, None) / VALLEY_HU))


def _largest_of_last(values: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Return the largest of each value and those before it along each ray, ``count`` in all."""
    largest, known = values.copy(), 1
    while known < count:
        step = min(known, count - known)
        largest[step:] = np.maximum(largest[step:], largest[:-step])
        known += step
    return largest


def _valley_depth(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the depth, HU, of the valley that each ray has climbed out of at each radius."""
    fall = np.fmax.accumulate(values, axis=0) - values
    depth = np.zeros_like(values)
    for lag in range(1, round(WIDEST_GAP_MM / STEP_MM) + 1):
        climb = values[lag:] - values[:-lag]
        depth[lag:] = np.fmax(depth[lag:], np.fmin(fall[:-lag], climb))
    return depth


def _joint_depth(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the depth (0 to 1) of the gap between bone just within each radius and beyond it."""
    values = np.nan_to_num(values)
    bone = _largest_of_last(values, round(WITHIN_MM / STEP_MM) + 1)
    gap = np.full_like(values, np.inf)
    depth = np.zeros_like(values)
    every = round(1.0 / STEP_MM)
    for lag in range(every, round(JOINT_REACH_MM / STEP_MM) + 1, every):
        rise = np.minimum(bone[:-lag], values[lag:]) - gap[:-lag]
        np.maximum(depth[:-lag], rise, out=depth[:-lag])
        np.minimum(gap[:-lag], values[lag:], out=gap[:-lag])
    return np.asarray(np.clip(depth / JOINT_HU, 0.0, 1.0))


def _smooth_surface(rewards: FloatArray, directions: FloatArray, radius_mm: float) -> FloatArray:
    """Return radii of a smooth surface through steep steps, by iterated conditional modes."""
    near = np.abs(RADII_MM - radius_mm) <= REACH_MM
    cost = -rewards[:, near]
    candidates = RADII_MM[near]
    neighbours = np.asarray(cKDTree(directions).query(directions, k=13)[1])
    radii = np.full(len(directions), radius_mm)
    for weight in np.linspace(0.25, 1.0, 25) * SMOOTHNESS_PER_MM2:
        mean = radii[neighbours[:, 1:]].mean(axis=1)
        away = (candidates[None, :] - mean[:, None]) ** 2
        radii = candidates[(cost + weight * away).argmin(axis=1)]
    return np.asarray(radii[neighbours].mean(axis=1))
