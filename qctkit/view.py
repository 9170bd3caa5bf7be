"""What predictors see of a volume: a small regular grid in the femur frame."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from qctkit.cohort import FemurMask
from qctkit.errors import InputError
from qctkit.frame import FemurFrame
from qctkit.geometry import FloatArray, Geometry, Shape, Triple
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
        spacing_mm: distance between points along superior, anterior, medial.
        window: the map of HU to the [0, 1] that networks see.
    """

    shape: Shape = (36, 28, 36)
    spacing_mm: Triple = (3.0, 3.0, 3.0)
    window: Window = DEFAULT_WINDOW

    @property
    def positions_mm(self) -> FloatArray:
        """Frame positions ``(D, H, W, 3)`` of the grid's points, mm."""
        return np.stack(np.meshgrid(*self.axes_mm, indexing="ij"), axis=-1)

    @property
    def axes_mm(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Frame positions of the points along superior ``(D,)``, anterior and medial, mm."""
        superior, anterior, medial = (
            np.asarray((np.arange(n) - (n - 1) / 2) * step, dtype=np.float64)
            for n, step in zip(self.shape, self.spacing_mm, strict=True)
        )
        return superior, anterior, medial

    @property
    def half_extent_mm(self) -> FloatArray:
        """Distance from the centre to the outermost points along each axis, mm."""
        return np.array([axis[-1] for axis in self.axes_mm])

    @property
    def cube_mm(self) -> float:
        """The one spacing of a view whose voxels are cubes, mm.

        Raises:
            InputError: the spacing is not the same along all axes.
        """
        if len(set(self.spacing_mm)) > 1:
            raise InputError(
                f"a view with a spacing of {self.spacing_mm} mm has no cubes for voxels, which "
                "physical features and volumes need; give one spacing for all axes"
            )
        return self.spacing_mm[0]


def spacing_of(spacing_mm: float | Sequence[float]) -> Triple:
    """Return a spacing along superior, anterior, medial; a single number holds along all."""
    if isinstance(spacing_mm, int | float):
        return float(spacing_mm), float(spacing_mm), float(spacing_mm)
    superior, anterior, medial = map(float, spacing_mm)
    return superior, anterior, medial


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
    superior, anterior, medial = view.axes_mm
    ends = np.meshgrid(*((axis[0], axis[-1]) for axis in view.axes_mm), indexing="ij")
    index = geometry.to_index(frame.to_world(np.stack(ends, axis=-1)))
    sigma = _low_pass_voxels(view, frame, geometry)
    margin = np.ceil(3 * sigma).astype(int) + 2
    low = np.maximum(np.floor(index.min(axis=(0, 1, 2))).astype(int) - margin, 0)
    high = np.minimum(np.ceil(index.max(axis=(0, 1, 2))).astype(int) + margin, geometry.shape)
    high = np.maximum(high, low + 1)
    box = voxels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    if box.size == 0:
        return np.full(view.shape, outside, dtype=np.float32)
    smooth = ndimage.gaussian_filter(box.astype(np.float32), sigma, mode="nearest")
    seen = np.empty(view.shape, dtype=np.float32)
    # Slice by slice: all positions of a view of fine slices at once would take a gigabyte.
    for level, height_mm in enumerate(superior):
        plane = np.stack(np.meshgrid(height_mm, anterior, medial, indexing="ij"), axis=-1)
        points = np.moveaxis(geometry.to_index(frame.to_world(plane[0])) - low, -1, 0)
        ndimage.map_coordinates(
            smooth, points, output=seen[level], order=1, mode="constant", cval=outside
        )
    return seen


def _low_pass_voxels(view: View, frame: FemurFrame, geometry: Geometry) -> FloatArray:
    """Return the sigma of the low-pass along each array axis, in voxels.

    It is the spread along that axis of a Gaussian whose axes are the view's.
    """
    cosines = frame.axes @ geometry.directions
    sigma_mm = ANTIALIAS * np.asarray(view.spacing_mm)
    return np.asarray(np.sqrt(sigma_mm**2 @ cosines**2) / np.asarray(geometry.spacing_mm))
