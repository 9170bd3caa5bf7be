"""A scan at a glance: its middle coronal slice, small."""

import base64
import io

import numpy as np
from PIL import Image

from qctkit.report.stack import Stack

HEIGHT_PIXELS = 150
QUALITY = 62
GREY_HU = (-150.0, 1000.0)
"""Grey range: fat to dense cortex."""


def thumbnail(stack: Stack, row: int) -> str:
    """Return a coronal slice of a stack as a data address, about 3 kB of WebP.

    Args:
        stack: the scan.
        row: which slice, counted from the front.
    """
    plane = stack.voxels[:, row].astype(np.float32)
    low, high = GREY_HU
    grey = np.clip((plane - low) / (high - low), 0.0, 1.0) * 255.0
    superior_mm, _, right_mm = stack.spacing_mm
    width = round(HEIGHT_PIXELS * plane.shape[1] * right_mm / (plane.shape[0] * superior_mm))
    small = Image.fromarray(np.rint(grey).astype(np.uint8)).resize(
        (max(width, 1), HEIGHT_PIXELS), Image.Resampling.LANCZOS
    )
    stream = io.BytesIO()
    small.save(stream, format="WEBP", quality=QUALITY)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode()
