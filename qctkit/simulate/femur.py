"""The analytic proximal femur: its solid, and coordinates along and around the neck."""

from dataclasses import dataclass

import numpy as np

from qctkit.simulate.shape import NECK_DEPTH_TO_WIDTH, FemurShape
from qctkit.simulate.solids import (
    Array,
    Points,
    ellipse,
    ellipsoid,
    smooth_step,
    smooth_union,
    sphere,
    tapered_capsule,
)

NECK_FLARE = 0.55
"""How much wider the neck is at the crossing of the axes than where it is narrowest [A]."""

NECK_HEAD_FLARE = 0.12
"""How much wider at the head centre (hidden in the head) [A]."""

METAPHYSIS_FLARE = 0.28
"""How much wider the shaft gets from below the lesser trochanter to the crossing of the axes;
gives a canal flare of about 3.5 with the cortex (Carmona 2019)."""

SHAFT_DEPTH_TO_WIDTH = 0.94
"""The shaft is nearly round [A]."""

# Positions and sizes of the trochanters, mm at scale 1 (head radius 24), by eye from the real
# hip scans of the project [A].
GREATER_BASE = ((-10.0, -3.0, -10.0), 12.5)
GREATER_TIP = ((-15.0, -9.0, 19.0), 9.5)
LESSER_BASE = ((3.0, -8.0, -34.0), 9.0)
LESSER_TIP = ((14.0, -16.5, -32.0), 6.5)
CREST_TOP = ((-13.0, -14.0, 8.0), 6.5)
CREST_BOTTOM = ((3.0, -15.0, -24.0), 6.0)
METAPHYSIS = ((-0.5, -1.0, -10.0), (18.5, 17.0, 26.0))


REACH_STEP_MM = 0.1
"""Step of the search for the lateral surface."""


@dataclass(frozen=True, eq=False)
class NeckCoordinates:
    """Where points lie along and around the neck axis.

    Attributes:
        along_mm: distance from the crossing of the axes towards the head.
        inferior_mm, anterior_mm: across the axis.
    """

    along_mm: Array
    inferior_mm: Array
    anterior_mm: Array

    @property
    def inferiority(self) -> Array:
        """Cosine of the angle around the axis: 1 inferior, 0 anterior or posterior, -1 superior."""
        radius = np.sqrt(self.inferior_mm**2 + self.anterior_mm**2)
        return np.asarray(self.inferior_mm / (radius + np.float32(1e-3)))


def neck_coordinates(points: Points, shape: FemurShape) -> NeckCoordinates:
    """Return the neck coordinates of femur points."""
    return NeckCoordinates(
        points.along(shape.neck_direction),
        points.along(shape.neck_inferior),
        points.along(shape.neck_anterior),
    )


def to_femur(world: Points, shape: FemurShape) -> Points:
    """Return femur coordinates of world points."""
    columns = shape.to_world.T
    x, y, z = (world.along((float(row[0]), float(row[1]), float(row[2]))) for row in columns)
    return Points(x, y, z)


def to_world(femur: Points, shape: FemurShape) -> Points:
    """Return world coordinates of femur points."""
    rows = shape.to_world
    x, y, z = (femur.along((float(row[0]), float(row[1]), float(row[2]))) for row in rows)
    return Points(x, y, z)


def femur_distance(points: Points, shape: FemurShape) -> Array:
    """Return the signed distance to the femur's outer surface, mm, at femur points.

    A smooth union of head, neck, greater and lesser trochanter, intertrochanteric crest,
    metaphysis and shaft; it has no lower end.
    """
    neck = neck_coordinates(points, shape)
    head = sphere(points, shape.head_centre_mm, shape.head_radius_mm)
    body = smooth_union(_shaft(points, shape), _metaphysis(points, shape), 10.0)
    body = smooth_union(body, _capsule(points, shape, GREATER_BASE, GREATER_TIP), 8.0)
    body = smooth_union(body, _capsule(points, shape, CREST_TOP, CREST_BOTTOM), 6.0)
    body = smooth_union(body, _capsule(points, shape, LESSER_BASE, LESSER_TIP), 6.0)
    return smooth_union(smooth_union(body, _neck(neck, shape), 8.0), head, 4.0)


def lateral_reach_mm(shape: FemurShape) -> float:
    """Return the distance from the crossing of the axes to the lateral surface, along the neck."""
    x, y, z = shape.neck_direction
    steps = np.arange(0.0, 3.0 * shape.head_radius_mm, REACH_STEP_MM, dtype=np.float32)
    line = Points(np.float32(-x) * steps, np.float32(-y) * steps, np.float32(-z) * steps)
    return float(steps[femur_distance(line, shape) < 0].max())


def trochanter_lateral_mm(shape: FemurShape) -> float:
    """Return the world x (mm) of the most lateral point of the greater trochanter."""
    lateral = [
        float((shape.to_world @ np.asarray(_scaled(centre, shape)))[0]) - radius * shape.scale
        for centre, radius in (GREATER_BASE, GREATER_TIP)
    ]
    return min(lateral)


def _neck(neck: NeckCoordinates, shape: FemurShape) -> Array:
    narrowest = shape.narrowest_mm
    lateral = np.clip(1 - neck.along_mm / np.float32(narrowest), 0, 1)
    towards_head = np.clip(
        (neck.along_mm - np.float32(narrowest)) / np.float32(shape.neck_length_mm - narrowest),
        0,
        1,
    )
    flare = 1 + np.float32(NECK_FLARE) * lateral**2 + np.float32(NECK_HEAD_FLARE) * towards_head**2
    width = np.float32(shape.neck_radius_mm) * flare
    depth = np.float32(shape.neck_radius_mm * NECK_DEPTH_TO_WIDTH) * (1 + (flare - 1) * 0.4)
    tube = ellipse(neck.inferior_mm, neck.anterior_mm, width, depth)
    ends = np.maximum(-neck.along_mm, neck.along_mm - np.float32(shape.neck_length_mm))
    return np.asarray(np.maximum(tube, ends))


def _shaft(points: Points, shape: FemurShape) -> Array:
    rise = smooth_step(points.z, -60.0 * shape.scale, 0.0)
    width = np.float32(shape.shaft_radius_mm) * (1 + np.float32(METAPHYSIS_FLARE) * rise)
    tube = ellipse(points.x, points.y, width, np.float32(SHAFT_DEPTH_TO_WIDTH) * width)
    return np.asarray(np.maximum(tube, points.z - np.float32(-4.0 * shape.scale)))


def _metaphysis(points: Points, shape: FemurShape) -> Array:
    centre, semi_axes = METAPHYSIS
    return ellipsoid(points, _scaled(centre, shape), _scaled(semi_axes, shape))


_Ball = tuple[tuple[float, float, float], float]


def _capsule(points: Points, shape: FemurShape, start: _Ball, end: _Ball) -> Array:
    (start_centre, start_radius), (end_centre, end_radius) = start, end
    return tapered_capsule(
        points,
        _scaled(start_centre, shape),
        _scaled(end_centre, shape),
        start_radius * shape.scale,
        end_radius * shape.scale,
    )


def _scaled(position: tuple[float, float, float], shape: FemurShape) -> tuple[float, float, float]:
    x, y, z = position
    return x * shape.scale, y * shape.scale, z * shape.scale
