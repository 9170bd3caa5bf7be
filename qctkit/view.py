"""What predictors see of a volume: a small regular grid in the femur frame."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from qctkit.cohort import FemurMask
from qctkit.errors import InputError
from qctkit.frame import FemurFrame
from qctkit.geometry import FloatArray, Shape
from qctkit.volume import Volume
from qctkit.window import DEFAULT_WINDOW, Window

OUTSIDE_HU = -1000.0
"""Value of view voxels outside the volume's field of view: air."""

ANTIALIAS = 0.35
"""Sigma of the low-pass before sampling, as a fraction of the view's spacing; 0.35 keeps about
half the amplitude at the Nyquist frequency of the view."""


@dataclass(frozen=True)
class View:
    """A grid ``(D, H, W)`` of frame positions (superior, anterior, medial), centred on the origin.

    Attributes:
        shape: number of points along superior, anterior, medial.
        spacing_mm: distance between points, the same along all axes.
        window: the map of HU to the [0, 1] that networks see.
    """

    shape: Shape = (36, 28, 36)
    spacing_mm: float = 3.0
    window: Window = DEFAULT_WINDOW

    @property
    def positions_mm(self) -> FloatArray:
        """Frame positions ``(D, H, W, 3)`` of the grid's points, mm."""
        axes = [(np.arange(n) - (n - 1) / 2) * self.spacing_mm for n in self.shape]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)

    @property
    def half_extent_mm(self) -> FloatArray:
        """Distance from the centre to the outermost points along each axis, mm."""
        return np.array([(n - 1) / 2 * self.spacing_mm for n in self.shape])


HIP_VIEW = View((48, 36, 52))
"""Wide enough for the shaft below the lesser trochanter and for muscle and fat beside the femur."""


@dataclass(frozen=True, eq=False)
class ViewImage:
    """A volume on a view's grid: HU and femur weight, both ``(D, H, W)`` float32.

    ``femur`` is the part of each view voxel that lies in the mask, from 0 to 1.
    """

    hu: NDArray[np.float32]
    femur: NDArray[np.float32]


def see(volume: Volume, femur: FemurMask, frame: FemurFrame, view: View) -> ViewImage:
    """Return the view of a volume and its femur mask; low-passed first, so nothing aliases.

    Raises:
        InputError: the volume is not in HU.
    """
    return ViewImage(
        _sample(volume, volume.voxels, frame, view, OUTSIDE_HU),
        _sample(volume, femur.voxels, frame, view, 0.0),
    )


def see_volume(volume: Volume, frame: FemurFrame, view: View) -> NDArray[np.float32]:
    """Return only the HU of a view, ``(D, H, W)``, for a candidate whose mask is its source's."""
    return _sample(volume, volume.voxels, frame, view, OUTSIDE_HU)


def _sample(
    volume: Volume,
    voxels: NDArray[np.generic],
    frame: FemurFrame,
    view: View,
    outside: float,
) -> NDArray[np.float32]:
    if volume.unit.is_calibrated:
        raise InputError(
            f"the volume is in {volume.unit}, but predictors see HU; give the scan in HU and its "
            "calibration line beside it (`qctkit ingest --calibration`)"
        )
    geometry = volume.geometry
    index = geometry.to_index(frame.to_world(view.positions_mm))
    sigma = ANTIALIAS * view.spacing_mm / np.asarray(geometry.spacing_mm)
    margin = np.ceil(3 * sigma).astype(int) + 2
    low = np.maximum(np.floor(index.min(axis=(0, 1, 2))).astype(int) - margin, 0)
    high = np.minimum(np.ceil(index.max(axis=(0, 1, 2))).astype(int) + margin, geometry.shape)
    high = np.maximum(high, low + 1)
    box = voxels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    if box.size == 0:
        return np.full(view.shape, outside, dtype=np.float32)
    smooth = ndimage.gaussian_filter(box.astype(np.float32), sigma, mode="nearest")
    points = np.moveaxis(index - low, -1, 0)
    return ndimage.map_coordinates(smooth, points, order=1, mode="constant", cval=outside)
