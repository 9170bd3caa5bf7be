"""Directions spread evenly over a sphere."""

import numpy as np

from qctkit.geometry import FloatArray


def sphere_directions(count: int) -> FloatArray:
    """Return ``(count, 3)`` unit vectors spread evenly over the sphere (Fibonacci lattice)."""
    index = np.arange(count) + 0.5
    polar = np.arccos(1.0 - 2.0 * index / count)
    azimuth = np.pi * (1.0 + np.sqrt(5.0)) * index
    return np.stack(
        [np.cos(polar), np.sin(polar) * np.sin(azimuth), np.sin(polar) * np.cos(azimuth)],
        axis=-1,
    )
