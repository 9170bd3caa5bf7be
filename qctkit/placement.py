"""Where a sample's voxels lie in the scan that it was cut from, and the way back."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qctkit.boxes import bounding_box
from qctkit.cohort import FemurMask, Record, Side
from qctkit.errors import InputError
from qctkit.geometry import FloatArray, Geometry, Shape
from qctkit.volume import Volume

CROP_MARGIN_MM = 20.0
"""Soft tissue kept around a femur that is cropped out."""


@dataclass(frozen=True, eq=False)
class Placement:
    """The map from a sample's voxels to those of its source scan.

    Attributes:
        source: grid of the whole scan.
        start: index ``(d, h, w)`` in the scan of the corner of the sample's box.
        shape: shape ``(D, H, W)`` of the sample.
        mirrored_axis: the array axis (0 to 2) along which the sample is mirrored, or None.
    """

    source: Geometry
    start: tuple[int, int, int]
    shape: Shape
    mirrored_axis: int | None = None

    @classmethod
    def whole(cls, volume: Volume) -> "Placement":
        """Return the placement of a scan that was not cut."""
        return cls(volume.geometry, (0, 0, 0), volume.geometry.shape)

    def to_source_index(self, indices: ArrayLike) -> FloatArray:
        """Return indices ``(..., 3)`` in the source of indices ``(..., 3)`` in the sample."""
        index = np.array(indices, dtype=np.float64)
        if self.mirrored_axis is not None:
            axis = self.mirrored_axis
            index[..., axis] = self.shape[axis] - 1 - index[..., axis]
        return np.asarray(index + self.start)

    def put_back(self, values: NDArray[Any], onto: NDArray[Any]) -> NDArray[Any]:
        """Return a copy of a source array with the sample's values ``(D, H, W)`` in their place.

        Raises:
            InputError: an array has another shape than the sample or the source.
        """
        if values.shape != self.shape or onto.shape != self.source.shape:
            raise InputError(
                f"expected arrays of shape {self.shape} and {self.source.shape}, got "
                f"{values.shape} and {onto.shape}"
            )
        result = onto.copy()
        box = tuple(slice(a, a + n) for a, n in zip(self.start, self.shape, strict=True))
        result[box] = values if self.mirrored_axis is None else np.flip(values, self.mirrored_axis)
        return result

    def record(self) -> Record:
        """Return the placement as JSON values; ``from_record`` reads it back."""
        return {
            "source_shape": list(self.source.shape),
            "source_affine": self.source.affine.tolist(),
            "start": list(self.start),
            "shape": list(self.shape),
            "mirrored_axis": self.mirrored_axis,
        }

    @classmethod
    def from_record(cls, record: Record) -> "Placement":
        """Return the placement that a sample's provenance holds under ``placement``."""
        source = Geometry(tuple(record["source_shape"]), np.array(record["source_affine"]))
        d, h, w = record["start"]
        return cls(source, (d, h, w), tuple(record["shape"]), record["mirrored_axis"])


def crop_femur(volume: Volume, femur: FemurMask) -> tuple[Volume, FemurMask, Placement]:
    """Return the box about a femur with 20 mm of its surroundings, and where it lies."""
    margin = [math.ceil(CROP_MARGIN_MM / one) for one in volume.spacing_mm]
    box = bounding_box(femur.voxels, margin)
    geometry = volume.geometry.crop(box)
    cropped = Volume(volume.voxels[box], geometry, volume.unit, volume.calibration)
    d, h, w = (one.start for one in box)
    placement = Placement(volume.geometry, (d, h, w), geometry.shape)
    return cropped, replace(femur, voxels=femur.voxels[box].copy()), placement


def mirror(
    volume: Volume, femur: FemurMask, placement: Placement
) -> tuple[Volume, FemurMask, Placement]:
    """Return the mirror image, a femur of the other side, and where its voxels lie.

    Voxels are reversed along the array axis nearest to left and right, and the affine is reflected
    about the middle of the sample's box in x, so that each voxel lies where a mirror shows it,
    on an oblique grid too. A grid along the patient's axes stays where it was.
    """
    axis = int(np.abs(volume.geometry.directions[0]).argmax())
    voxels = np.flip(volume.voxels, axis)
    flipped = replace(volume, voxels=voxels, geometry=_reflected(volume.geometry, axis))
    other = Side.LEFT if femur.side is Side.RIGHT else Side.RIGHT
    mask = FemurMask(np.flip(femur.voxels, axis).copy(), other, femur.origin)
    return flipped, mask, replace(placement, mirrored_axis=axis)


def _reflected(geometry: Geometry, axis: int) -> Geometry:
    """Return the grid on which an array that was flipped along an axis is its mirror image.

    The affine is M A F: F flips the index, A is the affine, M takes x to 2 x_mid - x. What cancels
    is left out, so that a grid along the patient's axes keeps its affine to the last bit.
    """
    last = np.array(geometry.shape) - 1
    others = np.arange(3) != axis
    affine = geometry.affine.copy()
    affine[0, 3] += affine[0, :3][others] @ last[others]
    affine[1:3, 3] += affine[1:3, axis] * last[axis]
    affine[0, :3][others] *= -1
    affine[1:3, axis] *= -1
    return Geometry(geometry.shape, affine + 0.0)  # + 0.0 makes -0.0 a plain zero again
