"""Values between voxels."""

import numpy as np
from numpy.typing import NDArray


def interpolate(image: NDArray[np.float32], points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the values of an image ``(D, H, W)`` at fractional indices ``(3, ...)``, linearly.

    NaN outside the image. As ``scipy.ndimage.map_coordinates`` of order 1, in a third of the time.
    """
    inside = np.ones(points.shape[1:], dtype=bool)
    for along, length in zip(points, image.shape, strict=True):
        inside &= (along >= 0.0) & (along <= length - 1)
    # In 32 bits, and with one flat index for all eight corners.
    corner = points.astype(np.int32)
    part = points - corner
    _, height, width = image.shape
    first = (corner[0] * height + corner[1]) * width + corner[2]
    values = [
        image.ravel().take(first + (d * height + h) * width + w, mode="clip")
        for d in (0, 1)
        for h in (0, 1)
        for w in (0, 1)
    ]
    for along in part[::-1]:
        values = [a + along * (b - a) for a, b in zip(values[::2], values[1::2], strict=True)]
    values[0][~inside] = np.nan
    return values[0]
