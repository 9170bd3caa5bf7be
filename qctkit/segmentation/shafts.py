"""Where femoral shafts run: long thick-walled tubes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from qctkit.geometry import FloatArray
from qctkit.volume import Mask

SHAFT_LEVELS_HU = (420.0, 380.0, 340.0, 300.0, 270.0)
"""A young shaft, wall and marrow averaged over about 14 mm, reaches 450 to 700; that of an old
person, or just below the trochanters, 300 to 400, which other bones of the hip reach as well.
Lower levels are tried only where the higher show no tube."""

HU_CAP = 1500.0
"""Metal and contrast count no more than dense cortex."""

LEAST_VOLUME_MM3 = 4000.0
LARGEST_SPREAD_MM = 11.0
"""Standard deviation across a shaft; 7 to 9 mm in the scans seen."""

LEAST_OFFSET_MM = 22.0
"""Least distance of a head's centre from the axis of its shaft; adults have 33 to 55 mm. A ball
within the shaft or the trochanter lies nearer."""

SHORT_MM, LONG_MM = 20.0, 30.0
"""Standard deviations along shafts of about 7 and 10 cm."""


@dataclass(frozen=True, eq=False)
class Shaft:
    """The axis of a tube in grid indices.

    Attributes:
        centre: a point of the axis ``(d, h, w)``.
        down: unit vector along the axis, away from the hip.
        length_mm: standard deviation along the axis.
    """

    centre: FloatArray
    down: FloatArray
    length_mm: float

    def weight_of_offset(self, head: FloatArray, spacing_mm: float) -> float:
        """Return how far (0, 0.8 or 1) a point's distance from the axis allows it to be a head.

        A long shaft excludes what lies on its axis, a trochanter above all; the axis of a short
        one leans towards the neck and only makes such a point less likely.
        """
        offset_mm = np.linalg.norm(np.cross(head - self.centre, self.down)) * spacing_mm
        if offset_mm > LEAST_OFFSET_MM or self.length_mm < SHORT_MM:
            return 1.0
        return 0.0 if self.length_mm > LONG_MM else 0.8


def find_shafts(image_hu: NDArray[np.float32], spacing_mm: float) -> list[Shaft]:
    """Return the tubes of dense bone in an image on an RAS grid, largest first."""
    capped = np.clip(image_hu, 0.0, HU_CAP)
    density = ndimage.gaussian_filter(capped, 6.0 / spacing_mm, mode="nearest")
    for level_hu in SHAFT_LEVELS_HU:
        if shafts := _tubes(density > level_hu, spacing_mm):
            return shafts
    return []


def _tubes(dense: Mask, spacing_mm: float) -> list[Shaft]:
    labels, count = ndimage.label(dense)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    shafts = []
    for index in np.argsort(-sizes, kind="stable"):
        if sizes[index] * spacing_mm**3 < LEAST_VOLUME_MM3:
            break
        points = np.argwhere(labels == index + 1).astype(np.float64)
        if (shaft := _tube(points, spacing_mm)) is not None:
            shafts.append(shaft)
    return shafts


def _tube(points: FloatArray, spacing_mm: float) -> Shaft | None:
    centre = points.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov((points - centre).T))
    spread_mm = np.sqrt(np.maximum(variances, 0.0)) * spacing_mm
    down = axes[:, 2] * -np.sign(axes[0, 2])
    if spread_mm[1] <= LARGEST_SPREAD_MM:
        if spread_mm[2] >= 1.5 * spread_mm[1] and down[0] < -0.4:
            return Shaft(centre, down, float(spread_mm[2]))
        if points[:, 0].min() == 0.0:
            # A stub, wider than long, at the lower end of the scan: its own axis says nothing.
            return Shaft(centre, np.array([-1.0, 0.0, 0.0]), float(spread_mm[2]))
    return None
