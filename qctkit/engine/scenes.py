"""Scenes: what edits are applied to, on the predictors' view or on a scan's own voxels."""

from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from qctkit.cohort import Sample
from qctkit.contracts import Scene
from qctkit.engine.grids import ViewGrid, VoxelGrid
from qctkit.frame import FemurFrame
from qctkit.geometry import Triple
from qctkit.view import View
from qctkit.volume import Mask

Box: TypeAlias = tuple[slice, slice, slice]

DEPTH_LIMIT_MM = 40.0
"""Depths are cut here: further from the bone's surface than any edit asks about."""


def view_scene(images: Tensor, view: View) -> Scene:
    """Return the scene of views ``(N, 2, D, H, W)`` (HU, femur share)."""
    depths = [view_depth_mm(femur, view) for femur in images[:, 1].detach().numpy()]
    depth_mm = torch.from_numpy(np.stack(depths)).to(images.dtype)
    return Scene(
        hu=images[:, 0],
        femur=images[:, 1],
        depth_mm=depth_mm,
        positions_mm=torch.from_numpy(view.positions_mm).to(images.dtype)[None],
        view=view,
        view_depth_mm=depth_mm,
        grid=ViewGrid(view),
    )


def scan_scene(
    sample: Sample,
    box: Box,
    hu: NDArray[np.float32],
    frame: FemurFrame,
    view: View,
    seen_depth_mm: NDArray[np.float32],
) -> Scene:
    """Return the scene of a box of a scan's own voxels.

    Args:
        sample: the scan.
        box: slices along ``(D, H, W)``.
        hu: what the box shows, of its shape.
        frame: where the femur lies.
        view: the grid that the knots of parameters span.
        seen_depth_mm: the depth on that grid, ``view_depth_mm`` of the same femur.
    """
    geometry = sample.volume.geometry.crop(box)
    femur = sample.femur.voxels[box]
    world = geometry.to_world(np.moveaxis(np.indices(geometry.shape, dtype=np.float32), 0, -1))
    return Scene(
        hu=torch.from_numpy(hu)[None],
        femur=torch.from_numpy(femur.astype(np.float32))[None],
        depth_mm=torch.from_numpy(depth_mm(femur, geometry.spacing_mm))[None],
        positions_mm=torch.from_numpy(frame.from_world(world).astype(np.float32))[None],
        view=view,
        view_depth_mm=torch.from_numpy(seen_depth_mm)[None],
        grid=VoxelGrid.of(geometry, frame),
    )


def depth_mm(femur: Mask, spacing_mm: Triple) -> NDArray[np.float32]:
    """Return the depth of each voxel ``(D, H, W)`` below the mask's surface, negative outside.

    The surface lies half a voxel (of the least spacing) outside the mask's outermost centres.
    """
    half = min(spacing_mm) / 2
    depth = -DEPTH_LIMIT_MM * np.ones(femur.shape, dtype=np.float32)
    if femur.any():
        inside = ndimage.distance_transform_edt(femur, sampling=spacing_mm)
        outside = ndimage.distance_transform_edt(~femur, sampling=spacing_mm)
        depth = np.where(femur, inside - half, half - outside).astype(np.float32)
    return np.asarray(np.clip(depth, -DEPTH_LIMIT_MM, DEPTH_LIMIT_MM))


def view_depth_mm(femur: NDArray[np.float32], view: View) -> NDArray[np.float32]:
    """Return the depth on a view's grid from the femur's share of its voxels, both ``(D, H, W)``.

    Smoothed by one voxel, since shares above a half make a surface of steps.
    """
    depth = depth_mm(femur > 0.5, view.spacing_mm)
    return np.asarray(ndimage.gaussian_filter(depth, 1.0, mode="nearest"))
