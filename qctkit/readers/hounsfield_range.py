"""The values that a voxel in HU can have."""

import numpy as np
from numpy.typing import NDArray

from qctkit.errors import InputError

LARGEST_HU = 1e5
"""Beyond this a voxel is no HU: extended metal scales end near 65,000."""


def check_range(values: NDArray[np.generic]) -> None:
    """Refuse finite values that no CT has; others are left to the volume's own check.

    Raises:
        InputError: a value is beyond ``LARGEST_HU``.
    """
    largest = max(abs(float(np.nanmin(values))), abs(float(np.nanmax(values))))
    if np.isfinite(largest) and largest > LARGEST_HU:
        raise InputError(f"voxels reach {largest:.3g}: these are not HU; check the scaling")
