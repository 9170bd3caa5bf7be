"""The acetabulum and the bones around it, across the joint space from the femoral head."""

import numpy as np

from qctkit.geometry import Triple
from qctkit.simulate.shape import MEDIAL_WALL_MM
from qctkit.simulate.solids import Array, Points, smooth_union, sphere, tapered_capsule

OPENING: Triple = (-0.66, 0.24, -0.71)
"""Unit vector out of the cup: lateral, forwards and down; about 45 degrees of inclination and
20 of anteversion [A]."""

RIM_MM = -1.0
"""Where the rim lies along the opening from the head's centre [A]; coverage near a hemisphere."""

# Starts, ends (mm, from the head's centre, in head radii) and radii (mm) of ilium, pubis and
# ischium, by eye from the real hip scans of the project [A].
ILIUM = ((0.05, -0.15, 1.35), (0.15, -0.6, 3.6), 17.0, 11.0)
PUBIS = ((1.2, 0.45, 0.10), (3.0, 1.1, -0.7), 9.5, 7.0)
ISCHIUM = ((1.05, -0.85, 0.0), (1.05, -1.4, -2.4), 14.0, 15.0)

PLATE_THICKNESS_MM = 1.6
"""Cortex and subchondral plate of the pelvis [A]."""

TRABECULAR_FACTOR = 1.15
"""Trabecular density of the pelvis near the joint over that of the femoral neck [A]."""


def pelvis_distance(
    world: Points, head_centre_mm: Triple, head_radius_mm: float, joint_space_mm: float
) -> Array:
    """Return the signed distance to the pelvis at world points, mm; the head's centre is in world.

    The cup is everything within the wall of the joint, cut by the plane of its rim; the socket is
    a sphere, so the joint space is the same everywhere in it.
    """
    socket_radius = head_radius_mm + joint_space_mm
    socket = sphere(world, head_centre_mm, socket_radius)
    wall = sphere(world, head_centre_mm, socket_radius + MEDIAL_WALL_MM)
    rim = world.along(OPENING, head_centre_mm) - np.float32(RIM_MM)
    solid = np.maximum(wall, rim)
    for start, end, start_radius, end_radius in (ILIUM, PUBIS, ISCHIUM):
        column = tapered_capsule(
            world,
            _place(start, head_centre_mm, head_radius_mm),
            _place(end, head_centre_mm, head_radius_mm),
            start_radius * head_radius_mm / 24.0,
            end_radius * head_radius_mm / 24.0,
        )
        solid = smooth_union(solid, column, 12.0)
    return np.asarray(np.maximum(solid, -socket))


def _place(offset: Triple, centre: Triple, radius: float) -> Triple:
    x, y, z = (c + radius * o for c, o in zip(centre, offset, strict=True))
    return x, y, z
