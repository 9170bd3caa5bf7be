"""An isotropic RAS grid to work on, and the way back to the scan's own voxels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from qctkit.geometry import FloatArray, Geometry
from qctkit.volume import Mask, Volume

AIR_HU = -1000.0
"""What lies outside the scan, where an oblique scan leaves the corners of the grid empty."""


def isotropic_grid(geometry: Geometry, spacing_mm: float) -> Geometry:
    """Return the grid of cubic voxels, axes superior, anterior, right, that covers the scan."""
    d, h, w = geometry.shape
    corners = geometry.to_world(
        [(i, j, k) for i in (0, d - 1) for j in (0, h - 1) for k in (0, w - 1)]
    )
    low = corners.min(axis=0)
    extent = corners.max(axis=0) - low
    x, y, z = (int(np.floor(length / spacing_mm + 1e-6)) + 1 for length in extent)
    spacing = (spacing_mm, spacing_mm, spacing_mm)
    return Geometry.from_spacing((z, y, x), spacing, (low[0], low[1], low[2]))


def resample(volume: Volume, grid: Geometry) -> NDArray[np.float32]:
    """Return the HU of a volume at the voxels of a grid, by linear interpolation.

    Only the part of the scan that the grid covers is touched.
    """
    box = _box_of(grid, volume.geometry)
    native = volume.geometry.crop(box)
    matrix, offset = _index_map(grid, native)
    moved = _interpolate(volume.voxels[box], matrix, offset, grid.shape)
    if not _is_axis_aligned(matrix):
        moved[~_inside(grid, native)] = AIR_HU
    return moved


def to_native(signed_mm: NDArray[np.float32], grid: Geometry, native: Geometry) -> Mask:
    """Return the mask, on the scan's own voxels, of where a signed distance is positive.

    The distance is interpolated rather than a mask, so that the surface stays smooth where
    slices are thick.
    """
    box = _box_of(grid, native)
    part = native.crop(box)
    matrix, offset = _index_map(part, grid)
    moved = _interpolate(signed_mm, matrix, offset, part.shape)
    whole = np.zeros(native.shape, dtype=np.bool_)
    whole[box] = moved > 0.0
    return whole


def _box_of(grid: Geometry, native: Geometry) -> tuple[slice, ...]:
    """Return the slices of the scan that a grid covers, and a voxel around."""
    d, h, w = grid.shape
    corners = grid.to_world([(i, j, k) for i in (0, d - 1) for j in (0, h - 1) for k in (0, w - 1)])
    index = native.to_index(corners)
    low = np.floor(index.min(axis=0)).astype(int) - 1
    high = np.ceil(index.max(axis=0)).astype(int) + 2
    return tuple(
        slice(int(np.clip(a, 0, n - 1)), int(np.clip(b, 1, n)))
        for a, b, n in zip(low, high, native.shape, strict=True)
    )


def signed_distance_mm(mask: Mask, spacing_mm: float) -> NDArray[np.float32]:
    """Return the distance to the mask's surface, mm, positive inside and negative outside.

    The surface lies midway between a voxel inside and its neighbour outside.
    """
    inside = ndimage.distance_transform_edt(mask)
    outside = ndimage.distance_transform_edt(~mask)
    half_voxel = np.where(mask, -0.5, 0.5)
    return np.asarray((inside - outside + half_voxel) * spacing_mm, dtype=np.float32)


def _index_map(target: Geometry, source: Geometry) -> tuple[FloatArray, FloatArray]:
    """Return the matrix and offset that take indices of the target to those of the source."""
    combined = np.linalg.inv(source.affine) @ target.affine
    return combined[:3, :3], combined[:3, 3]


def _interpolate(
    values: NDArray[Any], matrix: FloatArray, offset: FloatArray, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Return values, by linear interpolation, at the indices ``matrix @ index + offset``.

    Where axes run along axes, they are put in the same order first: without rotation SciPy works
    several times faster.
    """
    scales: FloatArray = matrix
    if _is_axis_aligned(matrix):
        order = np.abs(matrix).argmax(axis=0)
        values, offset = values.transpose(order), offset[order]
        scales = matrix[order, np.arange(3)]
    return np.asarray(
        ndimage.affine_transform(
            values, scales, offset, output_shape=shape, output=np.float32, order=1, mode="nearest"
        )
    )


def _is_axis_aligned(matrix: FloatArray) -> bool:
    """Whether each axis of one grid runs along one axis of the other."""
    largest = np.abs(matrix).max(axis=0)
    return bool(np.allclose(np.abs(matrix).sum(axis=0), largest, rtol=1e-3))


def _inside(grid: Geometry, native: Geometry) -> Mask:
    """Return where the voxels of a grid lie within the scan, to half a voxel."""
    matrix, offset = _index_map(grid, native)
    ones = np.ones(native.shape, dtype=np.float32)
    seen = ndimage.affine_transform(
        ones, matrix, offset, output_shape=grid.shape, order=1, mode="constant"
    )
    return np.asarray(seen > 0.5)
