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

FIRST_WINDOW: Shape = (1, 2, 2)
WINDOW: Shape = (1, 4, 4)
"""Voxels to each side over which a voxel is averaged with those like it, along ``(D, H, W)``. The
neighbouring slices tell fine sheets of tissue, which they show too, from noise, which they do not:
within slices alone such sheets were taken for noise, and stayed behind as ghosts where their tissue
moved away."""

PATCH: Shape = (1, 3, 3)
"""Voxels over which two places are compared while they are still noisy."""

SLAB_VOXELS = 300_000
"""Voxels worked on at once, beside the slices about them, so that little memory is in use."""

LIKENESS = 1.0
"""Difference in noise standard deviations at which a voxel of the first pass counts 0.5 as much."""

SOFT_TISSUE_HU = (-250.0, 250.0)
NOISE_WINDOW: Shape = (1, 7, 7)
QUIETEST_SHARE = 0.25
"""Noise is the standard deviation in small windows, of the quietest share of them in soft tissue:
the others hold edges."""

BLOCK: Shape = (4, 32, 32)
"""Voxels over which the noise is taken as even: it grows from the skin to the middle of a body."""

LEAST_NOISE_HU = 1.0
"""Below this a scan in whole HU has none."""


def without_noise(hu: Array) -> Array:
    """Return a scan ``(D, H, W)`` without its noise, its edges where they were.

    Non-local means (Buades et al. 2005) in two passes: the first compares noisy patches, the
    second single voxels of what the first gave. What is taken away holds no edges, and in even
    tissue nearly all of the noise's power spectrum.
    """
    blocks = _noise_of_blocks(hu)
    quiet = np.empty_like(hu)
    slices = max(SLAB_VOXELS // max(hu[:1].size, 1), 1)
    margin = FIRST_WINDOW[0] + WINDOW[0]
    for start in range(0, len(hu), slices):
        low = max(start - margin, 0)
        slab = slice(low, min(start + slices + margin, len(hu)))
        noisy, scale_hu = hu[slab], _level(blocks, hu.shape, slab)
        first = _averaged(noisy, noisy, FIRST_WINDOW, scale_hu, noisy=True)
        second = _averaged(noisy, first, WINDOW, LIKENESS * scale_hu, noisy=False)
        quiet[start : start + slices] = second[start - low :][:slices]
    return quiet


def noise_level_hu(hu: Array) -> Array:
    """Return the standard deviation of the noise about each voxel ``(D, H, W)``, HU."""
    return _level(_noise_of_blocks(hu), hu.shape, slice(0, len(hu)))


def _noise_of_blocks(hu: Array) -> NDArray[np.float64]:
    """Return the noise in each block of a scan, HU, smoothed from block to block."""
    firsts = range(0, len(hu), BLOCK[0])
    blocks = np.concatenate([_quietest(_spread(hu[one : one + BLOCK[0]])) for one in firsts])
    usual = float(np.nanmedian(blocks)) if np.isfinite(blocks).any() else LEAST_NOISE_HU
    even = np.where(np.isnan(blocks), usual, blocks)
    return np.asarray(ndimage.gaussian_filter(even, 0.7, mode="nearest"))


def _spread(hu: Array) -> NDArray[np.float64]:
    """Return the standard deviation in the window about each voxel, NaN outside soft tissue."""
    mean = ndimage.uniform_filter(hu, NOISE_WINDOW, output=np.float64)
    square = ndimage.uniform_filter(hu.astype(np.float64) ** 2, NOISE_WINDOW)
    spread = np.sqrt(np.clip(square - mean**2, 0.0, None))
    spread[(mean < SOFT_TISSUE_HU[0]) | (mean > SOFT_TISSUE_HU[1])] = np.nan
    return np.asarray(spread)


def _level(blocks: NDArray[np.float64], shape: tuple[int, ...], slab: slice) -> Array:
    """Return the noise about each voxel of a slab along D of a scan of this shape, HU."""
    d, h, w = (
        (np.arange(n, dtype=np.float32) + 0.5) / size - 0.5
        for n, size in zip(shape, BLOCK, strict=True)
    )
    points = np.stack(np.meshgrid(d[slab], h, w, indexing="ij"))
    level = ndimage.map_coordinates(blocks, points, order=1, mode="nearest", output=np.float32)
    return np.maximum(level, np.float32(LEAST_NOISE_HU))


def _quietest(spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the quietest share's spread in each block, NaN where less than a tenth is soft."""
    ends = [range(0, n, size) for n, size in zip(spread.shape, BLOCK, strict=True)]
    quietest = np.full([len(one) for one in ends], np.nan)
    for place, corner in zip(np.ndindex(quietest.shape), product(*ends), strict=True):
        block = spread[tuple(slice(a, a + n) for a, n in zip(corner, BLOCK, strict=True))]
        soft = block[np.isfinite(block)]
        if soft.size > 0.1 * block.size:
            quietest[place] = np.quantile(soft, QUIETEST_SHARE)
    return quietest


def _averaged(hu: Array, guide: Array, window: Shape, scale_hu: Array, *, noisy: bool) -> Array:
    """Return each voxel averaged with those in its window that look like it in the guide."""
    total, weights = hu.copy(), np.ones_like(hu)
    variance = np.square(scale_hu)
    scale = -0.5 / variance
    for here, there in _pairs(window):
        distance = np.square(guide[here] - guide[there])
        if noisy:
            # Two noisy patches of one tissue differ by twice the variance.
            distance = ndimage.uniform_filter(distance, PATCH, mode="nearest")
            distance = np.maximum(distance - 2 * variance[here], 0.0)
        weight = np.exp(distance * scale[here])
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
