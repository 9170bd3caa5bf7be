"""Signed distances to simple solids, mm: negative inside, first-order exact at the surface."""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qctkit.geometry import Triple

Array: TypeAlias = NDArray[np.float32]

TINY = np.float32(1e-6)


class Points(NamedTuple):
    """Positions in mm: x medial (right), y anterior, z superior; arrays that broadcast."""

    x: Array
    y: Array
    z: Array

    def along(self, direction: Triple, origin: Triple = (0.0, 0.0, 0.0)) -> Array:
        """Return the coordinate along a unit vector from an origin, mm."""
        a, b, c = (np.float32(value) for value in direction)
        offset = np.float32(np.dot(direction, origin))
        return np.asarray(a * self.x + b * self.y + c * self.z - offset)


def sphere(points: Points, centre: Triple, radius_mm: float) -> Array:
    """Return the distance to a sphere."""
    x, y, z = (np.float32(value) for value in centre)
    square = (points.x - x) ** 2 + (points.y - y) ** 2 + (points.z - z) ** 2
    return np.asarray(np.sqrt(square) - np.float32(radius_mm))


def ellipse(u: Array, v: Array, semi_u: Array | float, semi_v: Array | float) -> Array:
    """Return the distance to an ellipse (or, in space, an elliptic tube) from its coordinates.

    ``k (k - 1) / |grad|`` with ``k = |(u/a, v/b)|``: the value over its gradient, exact to first
    order at the surface and on circles everywhere.
    """
    p, q = u / semi_u, v / semi_v
    k = np.sqrt(p * p + q * q)
    gradient = np.sqrt((p / semi_u) ** 2 + (q / semi_v) ** 2)
    return np.asarray(k * (k - np.float32(1)) / (gradient + TINY), dtype=np.float32)


def ellipsoid(points: Points, centre: Triple, semi_axes: Triple) -> Array:
    """Return the distance to an axis-aligned ellipsoid, first-order exact at its surface."""
    a, b, c = (np.float32(value) for value in semi_axes)
    p = (points.x - np.float32(centre[0])) / a
    q = (points.y - np.float32(centre[1])) / b
    r = (points.z - np.float32(centre[2])) / c
    k = np.sqrt(p * p + q * q + r * r)
    gradient = np.sqrt((p / a) ** 2 + (q / b) ** 2 + (r / c) ** 2)
    return np.asarray(k * (k - np.float32(1)) / (gradient + TINY), dtype=np.float32)


def tapered_capsule(
    points: Points, start: Triple, end: Triple, start_radius_mm: float, end_radius_mm: float
) -> Array:
    """Return the distance to a capsule whose radius changes evenly from start to end."""
    distance, fraction = from_segment(points, start, end)
    taper = np.float32(end_radius_mm - start_radius_mm)
    return np.asarray(distance - np.float32(start_radius_mm) - taper * fraction)


def from_segment(points: Points, start: Triple, end: Triple) -> tuple[Array, Array]:
    """Return the distance from a segment, mm, and where along it (0 to 1) it is met."""
    axis = np.subtract(end, start)
    length = float(np.linalg.norm(axis))
    unit = (float(axis[0] / length), float(axis[1] / length), float(axis[2] / length))
    fraction = np.clip(points.along(unit, start) / np.float32(length), 0, 1)
    x, y, z = (np.float32(value) for value in start)
    a, b, c = (np.float32(value) for value in axis)
    square = (
        (points.x - x - a * fraction) ** 2
        + (points.y - y - b * fraction) ** 2
        + (points.z - z - c * fraction) ** 2
    )
    return np.sqrt(square), fraction


def smooth_union(first: Array, second: Array, blend_mm: float) -> Array:
    """Return the union of two solids with the crease filled over about ``blend_mm``.

    Where the two distances differ by more than ``blend_mm`` this is exactly the nearer one.
    """
    blend = np.float32(blend_mm)
    near = np.maximum(blend - np.abs(first - second), 0)
    return np.asarray(np.minimum(first, second) - near * near / (4 * blend))


def occupancy(distance_mm: Array, width_mm: float) -> Array:
    """Return the part of a voxel of this width that lies inside, 0 to 1: a linear ramp."""
    return np.asarray(np.clip(np.float32(0.5) - distance_mm / np.float32(width_mm), 0, 1))


def smooth_step(value: Array, low: float, high: float) -> Array:
    """Return 0 below ``low``, 1 above ``high``, with a smooth rise between."""
    t = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))
