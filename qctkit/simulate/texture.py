"""Smooth random fields fixed in space, so that every grid sees the same trabeculae."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from qctkit.simulate.solids import Array, Points

REGION_LOW_MM = (-85.0, -75.0, -80.0)
REGION_HIGH_MM = (78.0, 85.0, 92.0)
"""Box (S, A, R) that a field covers; beyond it the field is constant."""

SMOOTHING = 0.65
"""Sigma of the smoothing in lattice steps: neighbouring points then lean on one another and linear
interpolation between them shows no lattice [A]."""


@dataclass(frozen=True, eq=False)
class Field:
    """A random field of mean about 0 and SD about 1 on a lattice, linear in between.

    Attributes:
        values: lattice values ``(D, H, W)``.
        step_mm: lattice step.
    """

    values: Array
    step_mm: float

    @classmethod
    def draw(cls, random: np.random.Generator, step_mm: float) -> "Field":
        """Return a new field whose grain is about twice ``step_mm``."""
        extent = np.subtract(REGION_HIGH_MM, REGION_LOW_MM)
        shape = tuple(int(n) for n in np.ceil(extent / step_mm) + 1)
        white = random.standard_normal(shape, dtype=np.float32)
        smooth = ndimage.gaussian_filter(white, SMOOTHING, mode="wrap")
        return cls(np.asarray(smooth / smooth.std(), dtype=np.float32), step_mm)

    def at(self, points: Points) -> Array:
        """Return the field at scattered world points."""
        index = [
            np.ravel((axis - low) / self.step_mm)
            for axis, low in zip((points.z, points.y, points.x), REGION_LOW_MM, strict=True)
        ]
        values = ndimage.map_coordinates(self.values, index, order=1, mode="nearest")
        return np.asarray(values, dtype=np.float32).reshape(points.x.shape)

    def on_axes(self, axes: Points) -> Array:
        """Return the field ``(D, H, W)`` on a grid given by its three world axes."""
        result = self.values
        for axis, coordinates in enumerate((axes.z, axes.y, axes.x)):
            index = np.clip(
                (np.ravel(coordinates) - REGION_LOW_MM[axis]) / self.step_mm,
                0,
                result.shape[axis] - 1.001,
            )
            below = index.astype(np.intp)
            weight = np.expand_dims(
                (index - below).astype(np.float32), tuple(i for i in range(3) if i != axis)
            )
            low, high = result.take(below, axis), result.take(below + 1, axis)
            result = low + weight * (high - low)
        return result
