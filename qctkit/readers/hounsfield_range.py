"""The values that voxels in HU can have."""

import numpy as np
from numpy.typing import NDArray

from qctkit.errors import InputError

LARGEST_HU = 1e5
"""Beyond this a voxel is no HU: extended metal scales end near 65,000."""

LARGEST_LABEL = 255
"""A label image holds whole numbers from 0 to this; TotalSegmentator's go to 117."""

LABEL_SAMENESS = 0.8
"""Share of neighbours with equal values above which numbers are labels.

The noise of a CT leaves neighbours equal in 1 / (2 sqrt(pi) sd) of cases, 6 % at 5 HU, and a scan
of a hip reaches below 0 and above 255 besides: no scan meets all three conditions.
"""


def check_range(values: NDArray[np.generic]) -> None:
    """Refuse finite values that no CT has; others are left to the volume's own check.

    Raises:
        InputError: a value is beyond ``LARGEST_HU``.
    """
    largest = max(abs(float(np.nanmin(values))), abs(float(np.nanmax(values))))
    if np.isfinite(largest) and largest > LARGEST_HU:
        raise InputError(f"voxels reach {largest:.3g}: these are not HU; check the scaling")


def check_not_labels(voxels: NDArray[np.generic]) -> None:
    """Refuse a whole volume that is a mask or a label image.

    Raises:
        InputError: the voxels are labels.
    """
    # Not `<` and `>`, so that NaN is left to the volume's own check.
    if not (float(voxels.min()) >= 0 and float(voxels.max()) <= LARGEST_LABEL):
        return
    flat = voxels.ravel()
    if not np.array_equal(flat, np.rint(flat)) or not _mostly_same(flat):
        return
    labels = [int(label) for label in np.unique(flat)]
    held = " and ".join(map(str, labels))
    if len(labels) > 2:
        held = f"{len(labels)} whole numbers from {labels[0]} to {labels[-1]}"
    raise InputError(f"holds only {held}: this looks like a mask; give it in the column 'mask'")


def _mostly_same(flat: NDArray[np.generic]) -> bool:
    return len(flat) > 1 and float((flat[1:] == flat[:-1]).mean()) >= LABEL_SAMENESS
