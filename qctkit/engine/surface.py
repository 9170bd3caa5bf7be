"""What a scan shows about the surface of the femur, so that it can be moved by parts of a voxel.

Slices are further apart than the scanner's blur is wide, so no interpolation of HU alone brings a
cortex to a place between two of them: it comes out blurred, and its steps no longer fit the mask.
What is known besides is where the surface lies, to a tenth of a voxel, and that HU change fast with
the depth below it and slowly along it. So HU near the surface are split in two: a profile, HU by
depth and place, which is evaluated where the moved surface lies; and the rest, which is smooth
enough to be interpolated.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from qctkit.boxes import bounding_box
from qctkit.geometry import FloatArray, Shape, Triple

Array = NDArray[np.float32]

FINE_MM3 = 2.0
"""Volume of a voxel up to which the lengths below hold; with coarser ones they grow in proportion,
so that a cube holds as many voxels."""

DEPTHS_MM = (-8.0, 8.0)
FADE_MM = 2.0
"""Depths that profiles hold, fading out towards both: they reach a thick cortex with its blur, and
the socket that faces the head."""

DEPTH_STEP_MM = 0.25
"""Coarser steps would round off the profile of a blurred edge, which is about 2 mm wide."""

PLACE_MM = 4.0
PLACE_SIGMA = 0.8
"""Profiles are learned in cubes of this width, and smoothed over so many of them."""

WIDE_SIGMAS = (2.4, 4.0)
FEW_VOXELS = 0.05
"""Where fewer voxels than this have a depth, a profile is that of so many cubes and depths."""

TINY = 1e-9

DEPTH_SIGMA_MM = 2.0
"""A mask's surface is known to half a voxel at each of them, and to a tenth over so many mm."""

REFINEMENTS = 3
EDGE_MM = 3.0
MOST_CORRECTION_MM = 0.7
"""How often depths are refined, on what part of a profile, and by how much at most each time."""

LEAST_SLOPE_HU_MM = 20.0
"""A slope like this is no edge: where a profile has no more, depths stay the mask's."""

SLOPE_STEP_MM = 0.1


def smooth_depth(depth_mm: Array, spacing_mm: Triple) -> Array:
    """Return a mask's depths ``(D, H, W)`` without the steps of its voxels, mm.

    A Gaussian, and that of what it took away added once more ("twicing", Tukey 1977), so that
    curved surfaces stay where they are: a Gaussian alone would draw in a head by 0.2 mm.
    """
    once = _gaussian(depth_mm, spacing_mm)
    return once + _gaussian(depth_mm - once, spacing_mm)


def _coarseness(spacing_mm: Triple) -> float:
    """Return how many times coarser than fine a grid is."""
    volume_mm3 = float(np.prod(spacing_mm))
    return float(max(volume_mm3 / FINE_MM3, 1.0) ** (1 / 3))


@dataclass(frozen=True, eq=False)
class Cubes:
    """Cubes of ``PLACE_MM`` that cover places of a grid of voxels, and steps of depth.

    Attributes:
        voxels: of a cube along ``(D, H, W)``.
        origin: where the middle of cube (0, 0, 0) lies, in voxels.
        shape: number of cubes along ``(D, H, W)``.
        step_mm: of depth.
    """

    voxels: FloatArray
    origin: FloatArray
    shape: Shape
    step_mm: float

    @classmethod
    def over(cls, places: Array, spacing_mm: Triple, common: FloatArray) -> "Cubes":
        """Return the cubes that cover places ``(3, V)``, as if counted from ``common``, in voxels.

        So all parts of a scan have their cubes in the same places.
        """
        coarseness = _coarseness(spacing_mm)
        voxels = PLACE_MM * coarseness / np.asarray(spacing_mm)
        low = np.floor((places.min(axis=1) - common) / voxels)
        high = np.ceil((places.max(axis=1) - common) / voxels)
        d, h, w = (int(n) for n in high - low + 1)
        return cls(voxels, common + low * voxels, (d, h, w), DEPTH_STEP_MM * coarseness)

    @property
    def depths(self) -> int:
        """Number of depths."""
        return int(np.ceil((DEPTHS_MM[1] - DEPTHS_MM[0]) / self.step_mm)) + 1

    def index(self, places: Array, depth_mm: Array) -> Array:
        """Return places ``(3, V)`` in voxels and depths as cubes and steps ``(4, V)``."""
        cubes = (places - self.origin[:, None]) / self.voxels[:, None]
        level = np.clip((depth_mm - DEPTHS_MM[0]) / self.step_mm, 0, self.depths - 1)
        return np.asarray(np.concatenate([cubes, level[None]]), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Profile:
    """HU by place and depth.

    Attributes:
        hu: ``(d, h, w, K)`` of cubes and depths.
        cubes: where they lie.
    """

    hu: Array
    cubes: "Cubes"

    @classmethod
    def learned(cls, places: Array, depth_mm: Array, hu: Array, cubes: "Cubes") -> "Profile":
        """Return the mean HU by place and depth of voxels at ``places`` ``(3, V)``."""
        shape = (*cubes.shape, cubes.depths)
        *cube, level = cubes.index(places, depth_mm)
        first = np.minimum(level.astype(int), cubes.depths - 2)
        at = np.ravel_multi_index((*np.rint(cube).astype(int), first), shape)

        def summed(values: Array) -> NDArray[np.float64]:
            below, above = (1 - level + first) * values, (level - first) * values
            size = int(np.prod(shape))
            total = np.bincount(at, below, size) + np.bincount(at + 1, above, size)
            return np.asarray(total.reshape(shape))

        count, total = summed(np.ones_like(hu)), summed(hu)
        near_count, near = (_smoothed(one, PLACE_SIGMA) for one in (count, total))
        far_count, far = (_smoothed(one, *WIDE_SIGMAS) for one in (near_count, near))
        wide = far / np.maximum(far_count, TINY)
        mean = (near + FEW_VOXELS * wide) / (near_count + FEW_VOXELS)
        return cls(mean.astype(np.float32), cubes)

    def __call__(self, places: Array, depth_mm: Array) -> Array:
        """Return HU ``(V,)`` at places ``(3, V)`` in voxels and depths ``(V,)``."""
        index = self.cubes.index(places, depth_mm)
        return np.asarray(ndimage.map_coordinates(self.hu, index, order=1, mode="nearest"))


@dataclass(frozen=True, eq=False)
class Surface:
    """What depends on the depth below a surface: profiles, and where the scan says the surface is.

    Attributes:
        profiles: whose sum is HU by place and depth.
        correction_mm: ``(D, H, W)``, what the scan's HU add to the depths of the mask.
    """

    profiles: tuple[Profile, ...]
    correction_mm: Array

    @classmethod
    def learned(
        cls, hu: Array, depth_mm: Array, spacing_mm: Triple, common: FloatArray
    ) -> "Surface":
        """Return the surface of a scan ``(D, H, W)`` without noise, from the mask's smooth depths.

        ``common`` is a place in voxels that all parts of a scan share. Depths and profiles are
        refined in turn: where HU are too high or too low for their depth by as much as a shifted
        edge would make them, the surface lies elsewhere.
        """
        near, correction = _is_near(depth_mm), np.zeros_like(depth_mm)
        if not near.any():
            return cls((), correction)
        box = bounding_box(near)
        places, near_hu = np.argwhere(near).T.astype(np.float32), hu[near]
        cubes = Cubes.over(places, spacing_mm, common)

        def fitted(depths_mm: Array, values: Array) -> Profile:
            return Profile.learned(places, depths_mm, values, cubes)

        profile = fitted(depth_mm[near], near_hu)
        for _ in range(REFINEMENTS):
            depths_mm = depth_mm[near] + correction[near]
            slope = profile(places, depths_mm + SLOPE_STEP_MM / 2)
            slope = (slope - profile(places, depths_mm - SLOPE_STEP_MM / 2)) / SLOPE_STEP_MM
            slope[np.abs(depths_mm) > EDGE_MM] = 0.0
            excess = near_hu - profile(places, depths_mm)
            correction[box] += _shift_mm(near[box], excess, slope, spacing_mm)
            profile = fitted(depth_mm[near] + correction[near], near_hu)
        depths_mm = depth_mm[near] + correction[near]
        rest = fitted(depths_mm, near_hu - profile(places, depths_mm))
        return cls((profile, rest), correction)

    def at(self, places: Array, depth_mm: Array) -> Array:
        """Return HU ``(V,)`` at places ``(3, V)`` of the scan, in voxels, and the mask's depths."""
        corrected = depth_mm + ndimage.map_coordinates(
            self.correction_mm, places, order=1, mode="nearest", output=np.float32
        )
        hu = np.sum([profile(places, corrected) for profile in self.profiles], axis=0)
        return np.asarray(hu * _counts(corrected), dtype=np.float32)

    def shown(self, places: Array, depth_mm: Array) -> Array:
        """Return HU ``(D, H, W)`` at places ``(3, D, H, W)``, zero far from the surface."""
        hu = np.zeros_like(depth_mm)
        near = _is_near(depth_mm)
        hu[near] = self.at(places[:, near], depth_mm[near])
        return hu


def _is_near(depth_mm: Array) -> NDArray[np.bool_]:
    low, high = DEPTHS_MM
    margin = REFINEMENTS * MOST_CORRECTION_MM
    return (depth_mm > low - margin) & (depth_mm < high + margin)


def _counts(depth_mm: Array) -> Array:
    """Return how much of a profile counts at a depth: 1, and falling to 0 at both ends."""
    low, high = DEPTHS_MM
    part = np.clip(np.minimum(depth_mm - low, high - depth_mm) / FADE_MM, 0.0, 1.0)
    return np.asarray(part * part * (3.0 - 2.0 * part))


def _shift_mm(near: NDArray[np.bool_], excess_hu: Array, slope: Array, spacing_mm: Triple) -> Array:
    """Return by how much depth must grow ``(D, H, W)`` to explain excess HU, by least squares."""
    explained, weight = np.zeros(near.shape, np.float32), np.zeros(near.shape, np.float32)
    explained[near], weight[near] = excess_hu * slope, np.square(slope)
    shift = _gaussian(explained, spacing_mm) / (
        _gaussian(weight, spacing_mm) + LEAST_SLOPE_HU_MM**2
    )
    return np.asarray(np.clip(shift, -MOST_CORRECTION_MM, MOST_CORRECTION_MM))


def _gaussian(values: Array, spacing_mm: Triple) -> Array:
    sigma = DEPTH_SIGMA_MM * _coarseness(spacing_mm) / np.asarray(spacing_mm)
    return np.asarray(ndimage.gaussian_filter(values, sigma, mode="nearest", truncate=3.0))


def _smoothed(
    values: NDArray[np.float64], cubes: float, depths: float = 0.0
) -> NDArray[np.float64]:
    sigma = (cubes, cubes, cubes, depths)
    return np.asarray(ndimage.gaussian_filter(values, sigma, mode="constant"))
