"""Masks on the grid of their scan."""

from itertools import product
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from qctkit.errors import ScanError
from qctkit.geometry import FloatArray, Geometry

TOLERANCE_VOXELS = 0.02
"""How far a voxel of a mask may lie from one of the scan: rounding in float32 or in text."""


Labels = TypeVar("Labels", bound=np.generic)


def place(mask: NDArray[Labels], grid: Geometry, scan: Geometry) -> NDArray[Labels]:
    """Return labels ``(D, H, W)`` of the scan from those whose voxels coincide with the scan's.

    The labels' axes may come in another order or direction, and it may cover a part of the scan or
    reach beyond it where it is empty. Nothing is interpolated.

    Raises:
        ScanError: the voxels do not coincide, or the mask marks some beyond the scan.
    """
    steps, start = _whole_steps(grid, scan)
    order = np.abs(steps).argmax(axis=1)
    signs = steps[np.arange(3), order]
    turned = mask.transpose(order)[tuple(slice(None, None, int(sign)) for sign in signs)]
    first = np.where(signs > 0, start, start - np.asarray(turned.shape) + 1)
    placed = np.zeros(scan.shape, dtype=mask.dtype)
    low = np.clip(first, 0, scan.shape)
    high = np.clip(first + turned.shape, low, scan.shape)
    inside = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    source = tuple(slice(int(a), int(b)) for a, b in zip(low - first, high - first, strict=True))
    placed[inside] = turned[source]
    beyond = int(np.count_nonzero(mask)) - int(np.count_nonzero(placed))
    if beyond:
        raise ScanError(
            f"the mask marks {beyond} voxels beyond its scan; the mask has {in_words(grid)}, the "
            f"scan {in_words(scan)}; give the mask of this scan"
        )
    return placed


def in_words(geometry: Geometry) -> str:
    """Return shape, spacing, corner and axes of a grid in a phrase."""
    size = " x ".join(str(n) for n in geometry.shape)
    spacing = " x ".join(f"{mm:.4g}" for mm in geometry.spacing_mm)
    corner = ", ".join(f"{mm:.2f}" for mm in geometry.affine[:3, 3])
    axes = _axes(geometry.directions)
    return f"{size} voxels (D, H, W) of {spacing} mm from ({corner}) mm RAS along {axes}"


def _whole_steps(grid: Geometry, scan: Geometry) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return matrix ``(3, 3)`` and start that take the mask's indices to the scan's.

    Raises:
        ScanError: they are not whole, or not one step along one axis each.
    """
    exact = np.linalg.inv(scan.affine) @ grid.affine
    whole = np.rint(exact)
    steps = np.abs(whole[:3, :3])
    ends = [(0, n - 1) for n in grid.shape]
    corners = np.array([(*corner, 1) for corner in product(*ends)])
    off = float(np.abs(corners @ (exact - whole).T).max())
    one_each = (steps.sum(axis=0) == 1).all() and (steps.sum(axis=1) == 1).all()
    if not one_each or off > TOLERANCE_VOXELS:
        raise ScanError(
            f"the mask must lie on the grid of its scan; the mask has {in_words(grid)}, "
            f"the scan {in_words(scan)}; resample the mask to the scan (nearest neighbour)"
        )
    return whole[:3, :3].astype(np.int64), whole[:3, 3].astype(np.int64)


def _axes(directions: FloatArray) -> str:
    """Return the anatomical directions that d, h, w run to, such as ``S, A, R``."""
    letters = ("RL", "AP", "SI")
    nearest = np.abs(directions).argmax(axis=0)
    return ", ".join(
        letters[world][int(directions[world, axis] < 0)] for axis, world in enumerate(nearest)
    )
