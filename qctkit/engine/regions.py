"""The voxels of a scan that lie in a box of the femur frame."""

import numpy as np

from qctkit.boxes import bounding_box
from qctkit.cohort import Sample
from qctkit.distances import distance_mm
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
    spacing_mm = sample.volume.spacing_mm
    near = bounding_box(sample.femur.voxels, margin=int(np.ceil(grown_mm / min(spacing_mm))) + 1)
    grown = np.zeros(sample.femur.voxels.shape, dtype=bool)
    grown[near] = distance_mm(~sample.femur.voxels[near], spacing_mm) <= grown_mm
    return grown
