"""A scan without its noise, so that edits can move tissue and leave the noise where it is.

Noise belongs to the scanner and not to the tissue: stretched with it, its grain would grow coarse
in what expands, and interpolation would damp it.
"""

from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from qctkit.geometry import Shape

Array = NDArray[np.float32]

FIRST_WINDOW: Shape = (1, 3, 3)
WINDOW: Shape = (1, 5, 5)
"""Voxels to each side over which a voxel is averaged with those like it, along ``(D, H, W)``: wide
enough that only noise coarser than about ten voxels is left in the tissue."""

PATCH: Shape = (1, 3, 3)
"""Voxels over which two places are compared while they are still noisy."""

LIKENESS = 1.2
"""Difference in noise standard deviations at which a voxel of the first pass counts 0.5 as much."""

SOFT_TISSUE_HU = (-250.0, 250.0)
QUIETEST_SHARE = 0.15
NOISE_WINDOW: Shape = (1, 7, 7)


def without_noise(hu: Array) -> Array:
    """Return a scan ``(D, H, W)`` without its noise, its edges where they were.

    Non-local means (Buades et al. 2005) in two passes: the first compares noisy patches, the
    second single voxels of what the first gave. What is taken away holds no edges, and in even
    tissue nearly all of the noise's power spectrum.
    """
    noise_hu = noise_level_hu(hu)
    if noise_hu == 0.0:
        return hu.copy()
    first = _averaged(hu, hu, FIRST_WINDOW, noise_hu, noisy=True)
    return _averaged(hu, first, WINDOW, LIKENESS * noise_hu, noisy=False)


def noise_level_hu(hu: Array) -> float:
    """Return the standard deviation of noise, HU: that of the quietest soft tissue.

    Where the scan shows none, or it is so even that it has no noise, 0.
    """
    mean = ndimage.uniform_filter(hu, NOISE_WINDOW)
    square = ndimage.uniform_filter(hu.astype(np.float64) ** 2, NOISE_WINDOW)
    spread = np.sqrt(np.clip(square - mean.astype(np.float64) ** 2, 0.0, None))
    soft = (mean > SOFT_TISSUE_HU[0]) & (mean < SOFT_TISSUE_HU[1])
    return float(np.quantile(spread[soft], QUIETEST_SHARE)) if soft.any() else 0.0


def _averaged(hu: Array, guide: Array, window: Shape, scale_hu: float, *, noisy: bool) -> Array:
    """Return each voxel averaged with those in its window that look like it in the guide."""
    total, weights = hu.copy(), np.ones_like(hu)
    for here, there in _pairs(window):
        distance = np.square(guide[here] - guide[there])
        if noisy:
            # Two noisy patches of one tissue differ by twice the variance.
            distance = ndimage.uniform_filter(distance, PATCH, mode="nearest")
            distance = np.maximum(distance - 2 * scale_hu**2, 0.0)
        weight = np.exp(distance * np.float32(-0.5 / scale_hu**2))
        total[here] += weight * hu[there]
        total[there] += weight * hu[here]
        weights[here] += weight
        weights[there] += weight
    return total / weights


def _pairs(window: Shape) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Yield slices of the two ends of every step within a window, each step in one sense."""
    for step in product(*(range(-n, n + 1) for n in window)):
        if step > (0, 0, 0):
            here = tuple(slice(max(0, -n), min(0, -n) or None) for n in step)
            there = tuple(slice(max(0, n), min(0, n) or None) for n in step)
            yield here, there
