"""Scenes: what edits are applied to, on the predictors' view or on a scan's own voxels."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from qctkit.boxes import Box
from qctkit.cohort import Sample
from qctkit.contracts import Scene
from qctkit.distances import distance_mm
from qctkit.engine.grids import ViewGrid, VoxelGrid
from qctkit.frame import FemurFrame
from qctkit.geometry import Geometry, Triple
from qctkit.view import View
from qctkit.volume import Mask

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
    return Scene(
        hu=torch.from_numpy(hu)[None],
        femur=torch.from_numpy(femur.astype(np.float32))[None],
        depth_mm=torch.from_numpy(depth_mm(femur, geometry.spacing_mm))[None],
        positions_mm=torch.from_numpy(_positions_mm(geometry, frame))[None],
        view=view,
        view_depth_mm=torch.from_numpy(seen_depth_mm)[None],
        grid=VoxelGrid.of(geometry, frame),
    )


def _positions_mm(geometry: Geometry, frame: FemurFrame) -> NDArray[np.float32]:
    """Return the frame positions of all voxels, ``(D, H, W, 3)``, made slice by slice."""
    found = np.empty((*geometry.shape, 3), dtype=np.float32)
    index = np.moveaxis(np.indices((1, *geometry.shape[1:])), 0, -1)[0]
    for level in range(len(found)):
        index[..., 0] = level
        found[level] = frame.from_world(geometry.to_world(index))
    return found


def depth_mm(femur: Mask, spacing_mm: Triple) -> NDArray[np.float32]:
    """Return the depth of each voxel ``(D, H, W)`` below the mask's surface, negative outside.

    The surface lies half a voxel (of the least spacing) outside the mask's outermost centres.
    """
    half = min(spacing_mm) / 2
    depth = -DEPTH_LIMIT_MM * np.ones(femur.shape, dtype=np.float32)
    if femur.any():
        depth = (half - distance_mm(~femur, spacing_mm)).astype(np.float32)
        depth[femur] = distance_mm(femur, spacing_mm)[femur] - half
    return np.asarray(np.clip(depth, -DEPTH_LIMIT_MM, DEPTH_LIMIT_MM))


def view_depth_mm(femur: NDArray[np.float32], view: View) -> NDArray[np.float32]:
    """Return the depth on a view's grid from the femur's share of its voxels, both ``(D, H, W)``.

    Smoothed by one voxel, since shares above a half make a surface of steps.
    """
    depth = depth_mm(femur > 0.5, view.spacing_mm)
    return np.asarray(ndimage.gaussian_filter(depth, 1.0, mode="nearest"))
