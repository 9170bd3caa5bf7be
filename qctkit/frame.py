"""The canonical femur frame that predictors and edits share.

Coordinates are (superior, anterior, medial) in mm from an origin inside the proximal femur. Using
*medial* instead of right makes left and right femurs look alike, so one predictor reads both.
The axes are the patient's own: a rotated leg stays rotated.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from qctkit.cohort import FemurMask, Side
from qctkit.geometry import FloatArray, Geometry, Triple

PROXIMAL_LENGTH_MM = 100.0
"""Length from the top of the mask over which the origin is found: head, neck and trochanters.
A longer piece of shaft in the field of view must not move the origin."""


@dataclass(frozen=True)
class FemurFrame:
    """A rigid map between RAS and (superior, anterior, medial) mm about ``origin_mm`` (RAS)."""

    origin_mm: Triple
    side: Side

    @property
    def axes(self) -> FloatArray:
        """Superior, anterior and medial unit vectors in RAS, one a row."""
        medial = 1.0 if self.side is Side.LEFT else -1.0
        return np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [medial, 0.0, 0.0]])

    def to_world(self, points_mm: ArrayLike) -> FloatArray:
        """Return RAS positions ``(..., 3)`` of frame positions ``(..., 3)``, mm."""
        points = np.asarray(points_mm, dtype=np.float64)
        return np.asarray(points @ self.axes + np.asarray(self.origin_mm))

    def from_world(self, points_mm: ArrayLike) -> FloatArray:
        """Return frame positions ``(..., 3)`` of RAS positions ``(..., 3)``, mm."""
        points = np.asarray(points_mm, dtype=np.float64)
        return np.asarray((points - np.asarray(self.origin_mm)) @ self.axes.T)


def locate(femur: FemurMask, geometry: Geometry) -> FemurFrame:
    """Return the frame of a femur: its origin is the centroid of the proximal 100 mm of the mask.

    Where the head is cut off by the field of view the origin lies lower than in a whole femur.
    """
    points = geometry.to_world(np.argwhere(femur.voxels))
    height_mm = points[:, 2]
    proximal = points[height_mm > height_mm.max() - PROXIMAL_LENGTH_MM]
    x, y, z = proximal.mean(axis=0)
    return FemurFrame((float(x), float(y), float(z)), femur.side)
