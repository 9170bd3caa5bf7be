"""Windows of even soft tissue, in which a scan's noise shows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qctkit.geometry import FloatArray

WINDOW = 8
"""Side of a window in a slice, voxels: small enough to lie within one muscle."""

SOFT_TISSUE_HU = (-150.0, 150.0)


def windows(voxels: NDArray[Any]) -> NDArray[Any]:
    """Return the windows ``(n, 8, 8)`` that tile the slices of a volume ``(D, H, W)``."""
    depth, rows, columns = (
        voxels.shape[0],
        voxels.shape[1] // WINDOW,
        voxels.shape[2] // WINDOW,
    )
    whole = voxels[:, : rows * WINDOW, : columns * WINDOW]
    tiles = whole.reshape(depth, rows, WINDOW, columns, WINDOW).swapaxes(2, 3)
    return tiles.reshape(-1, WINDOW, WINDOW)


def is_soft(tiles: FloatArray) -> NDArray[np.bool_]:
    """Return which windows ``(n, 8, 8)`` are soft tissue on average."""
    mean = tiles.mean(axis=(1, 2))
    return np.asarray((mean > SOFT_TISSUE_HU[0]) & (mean < SOFT_TISSUE_HU[1]))


def without_slope(tiles: FloatArray) -> FloatArray:
    """Return windows ``(n, 8, 8)`` less the plane that fits each best."""
    axis = np.arange(WINDOW) - (WINDOW - 1) / 2
    axis /= np.sqrt(WINDOW * (axis**2).sum())
    even = tiles - tiles.mean(axis=(1, 2), keepdims=True)
    rows = np.einsum("nij,i->n", even, axis)[:, None, None] * axis[:, None]
    columns = np.einsum("nij,j->n", even, axis)[:, None, None] * axis[None, :]
    return np.asarray(even - rows - columns)
