"""The voxels of a scan that lie in a box of the femur frame."""

import numpy as np
from scipy import ndimage

from qctkit.cohort import Sample
from qctkit.frame import FemurFrame
from qctkit.geometry import FloatArray
from qctkit.volume import Mask


def within_box(sample: Sample, frame: FemurFrame, half_extent_mm: FloatArray) -> Mask:
    """Return the voxels ``(D, H, W)`` whose frame position is at most so far from the origin."""
    geometry = sample.volume.geometry
    indices = np.moveaxis(np.indices((1, *geometry.shape[1:])), 0, -1)[0]
    along = geometry.affine[:3, 0]
    inside = np.empty(geometry.shape, dtype=bool)
    for d in range(geometry.shape[0]):
        offset = np.abs(frame.from_world(geometry.to_world(indices) + d * along))
        inside[d] = (offset <= half_extent_mm).all(axis=-1)
    return inside


def grown_femur(sample: Sample, grown_mm: float) -> Mask:
    """Return the femur's mask ``(D, H, W)`` grown by a distance in mm."""
    distance_mm = ndimage.distance_transform_edt(
        ~sample.femur.voxels, sampling=sample.volume.spacing_mm
    )
    return np.asarray(distance_mm <= grown_mm)
