"""A real scan on a grid of another spacing, as the source of a replay."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from qctkit.cohort import Sample
from qctkit.errors import InputError
from qctkit.geometry import FloatArray, Geometry, Shape, Triple
from qctkit.view import ANTIALIAS
from qctkit.volume import INT16_RANGE

PART_INSIDE = 0.5
"""A voxel belongs to the femur when at least this part of it lies in the mask."""

MOST_VOXELS = 1024 * 512 * 512
"""More than any clinical scan has; a finer grid would fill the memory before it fails."""


def resample(sample: Sample, spacing_mm: Triple) -> Sample:
    """Return a scan and its mask on a grid of other distances, with the same axes and middle.

    Voxels are interpolated linearly between centres, after a low-pass along each axis that becomes
    coarser, so that nothing aliases. Whole HU stay whole HU. Interpolation invents no detail: a
    finer grid is smoother than a scan of that spacing would be, and its noise is another.

    Raises:
        InputError: a distance is not positive, or the grid has more voxels than a scan can have.
    """
    geometry = sample.volume.geometry
    grid = _grid(geometry, spacing_mm)
    steps = np.asarray(grid.spacing_mm) / np.asarray(geometry.spacing_mm)
    offset = (np.array(geometry.shape) - 1 - (np.array(grid.shape) - 1) * steps) / 2
    voxels = _interpolated(sample.volume.voxels, steps, offset, grid.shape)
    if sample.volume.voxels.dtype == np.int16:
        voxels = np.clip(np.rint(voxels), *INT16_RANGE).astype(np.int16)
    inside = _interpolated(sample.femur.voxels, steps, offset, grid.shape) >= PART_INSIDE
    return replace(
        sample,
        volume=replace(sample.volume, voxels=voxels, geometry=grid),
        femur=replace(sample.femur, voxels=inside),
    )


def _grid(geometry: Geometry, spacing_mm: Triple) -> Geometry:
    """Return the grid of a spacing that fills the same box, whole voxels, about the same middle."""
    wanted = np.asarray(spacing_mm, dtype=np.float64)
    if not (np.isfinite(wanted).all() and (wanted > 0).all()):
        raise InputError(f"spacing must be three lengths above 0 mm, got {spacing_mm}")
    extent_mm = np.array(geometry.shape) * np.asarray(geometry.spacing_mm)
    counts = np.maximum(np.rint(extent_mm / wanted), 1)
    if counts.prod() > MOST_VOXELS:
        raise InputError(
            f"a spacing of {' x '.join(f'{mm:g}' for mm in wanted)} mm gives "
            f"{counts.prod():.2g} voxels, more than any scan has; ask for a coarser one"
        )
    d, h, w = (int(count) for count in counts)
    affine = geometry.affine.copy()
    affine[:3, :3] = geometry.directions * wanted
    middle = geometry.to_world((np.array(geometry.shape) - 1) / 2)
    affine[:3, 3] = middle - affine[:3, :3] @ ((counts - 1) / 2)
    return Geometry((d, h, w), affine)


def _interpolated(
    voxels: NDArray[np.generic], steps: FloatArray, offset: FloatArray, shape: Shape
) -> NDArray[np.float32]:
    """Return values ``shape`` at source indices ``steps * index + offset``."""
    sigma = np.where(steps > 1.0, ANTIALIAS * steps, 0.0)
    smooth = ndimage.gaussian_filter(voxels.astype(np.float32), sigma, mode="nearest")
    return ndimage.affine_transform(
        smooth, steps, offset, output_shape=shape, order=1, mode="nearest"
    )
