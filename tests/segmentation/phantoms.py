"""Femora of balls and tubes, so that the tests need no data and no simulator."""

import numpy as np

from qctkit.geometry import Geometry
from qctkit.volume import Mask, Volume

MUSCLE_HU, TRABECULAR_HU, CORTEX_HU, FAT_HU = 50, 300, 1200, -80

HEAD_MM = np.array([0.0, 0.0, 30.0])
HEAD_RADIUS_MM = 23.0


def hip(side_sign: int = 1, spacing_mm: float = 2.0) -> tuple[Volume, Mask]:
    """Return a hip of one side (+1 right, -1 left) and the mask of its femur."""
    shape = (round(150 / spacing_mm), round(90 / spacing_mm), round(130 / spacing_mm))
    spacing = (spacing_mm, spacing_mm, spacing_mm)
    start = -44.0 if side_sign > 0 else -86.0
    geometry = Geometry.from_spacing(shape, spacing, (start, -45.0, -75.0))
    points_mm = np.moveaxis(geometry.to_world(np.moveaxis(np.indices(shape), 0, -1)), -1, 0)
    x, y, z = points_mm[0] * side_sign, points_mm[1], points_mm[2]
    depth = _depth_in_femur(x, y, z)
    femur = depth > 0
    voxels = np.full(shape, MUSCLE_HU)
    voxels[_cup(x, y, z)] = CORTEX_HU
    voxels[femur] = np.where(depth[femur] < 2.5, CORTEX_HU, TRABECULAR_HU)
    shaft = femur & (z < -35) & (depth < 5.0)
    voxels[femur & (z < -35)] = FAT_HU
    voxels[shaft] = CORTEX_HU
    return Volume(voxels.astype(np.int16), geometry), femur


def pelvis() -> Volume:
    """Return a right hip and, 80 mm of muscle apart, its mirror image."""
    volume, _ = hip()
    muscle = np.full((*volume.voxels.shape[:2], 40), MUSCLE_HU, dtype=np.int16)
    voxels = np.concatenate([volume.voxels[:, :, ::-1], muscle, volume.voxels], axis=2)
    spacing = volume.spacing_mm
    x, y, z = volume.geometry.affine[:3, 3]
    start = x - (voxels.shape[2] - volume.voxels.shape[2]) * spacing[2]
    return Volume(voxels, Geometry.from_spacing(voxels.shape, spacing, (start, y, z)))


def flipped(volume: Volume) -> Volume:
    """Return the same patient with axes reversed and in another order."""
    voxels = volume.voxels[::-1, :, ::-1].transpose(2, 0, 1)
    d, _, w = volume.geometry.shape
    affine = volume.geometry.affine.copy()
    affine[:3, 3] = volume.geometry.to_world((d - 1, 0, w - 1))
    affine[:3, 0] *= -1
    affine[:3, 2] *= -1
    return Volume(voxels, Geometry(voxels.shape, affine[:, [2, 0, 1, 3]]))


def _depth_in_femur(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    head = HEAD_RADIUS_MM - np.sqrt(x**2 + y**2 + (z - HEAD_MM[2]) ** 2)
    along = np.clip((x * 45 - (z - 30) * 35) / (45**2 + 35**2), 0, 1)
    neck = 16 - np.sqrt((x - 45 * along) ** 2 + y**2 + (z - 30 + 35 * along) ** 2)
    trochanter = 20 - np.sqrt((x - 48) ** 2 + y**2 + (z + 2) ** 2)
    shaft = np.where(z < 0, 15 - np.sqrt((x - 45) ** 2 + y**2), -1.0)
    return np.maximum.reduce([head, neck, trochanter, shaft])


def _cup(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    distance = np.sqrt(x**2 + y**2 + (z - 30) ** 2)
    return (distance > 27) & (distance < 33) & (z - 30 > 0.6 * x)
