"""What usual augmentation does: a random affine map and noise, so that figures can be placed."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from qctkit.geometry import Triple
from qctkit.volume import Mask

DEGREES, SCALE = 10.0, 0.1
"""Defaults of ``RandomAffine`` in TorchIO (Perez-Garcia et al. 2021): at most so far to each side
about and along each axis, by linear interpolation."""

MOST_NOISE_HU = 25.0
"""Standard deviation of added noise is even from 0 to this: about a clinical scan's own [A]."""

AIR_HU = -1000.0


def affine_and_noise(
    hu: NDArray[np.generic], femur: Mask, spacing_mm: Triple, generator: np.random.Generator
) -> tuple[NDArray[np.int16], Mask]:
    """Return a scan ``(D, H, W)`` and its mask after a random affine map about the femur."""
    angles = np.deg2rad(generator.uniform(-DEGREES, DEGREES, 3))
    scales = generator.uniform(1 - SCALE, 1 + SCALE, 3)
    noise_hu = generator.uniform(0.0, MOST_NOISE_HU)
    spacing = np.asarray(spacing_mm)
    in_mm = _rotation(angles) @ np.diag(1 / scales)
    matrix = np.diag(1 / spacing) @ in_mm @ np.diag(spacing)
    centre = np.array([axis.mean() for axis in np.nonzero(femur)])
    offset = centre - matrix @ centre
    moved = ndimage.affine_transform(hu.astype(np.float32), matrix, offset, order=1, cval=AIR_HU)
    mask = ndimage.affine_transform(femur.astype(np.float32), matrix, offset, order=1) > 0.5
    noisy = moved + noise_hu * generator.standard_normal(moved.shape, dtype=np.float32)
    return np.rint(noisy).astype(np.int16), mask


def _rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    total = np.eye(3)
    for axis, angle in enumerate(angles):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        total = turn @ total
    return total
