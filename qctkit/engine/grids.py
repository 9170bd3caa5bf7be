"""The two kinds of voxels: those of the predictors' view and a scan's own."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from qctkit.contracts import Displacement, Scene
from qctkit.engine.fields import slabs
from qctkit.engine.surface import Array, Surface, smooth_depth
from qctkit.frame import FemurFrame
from qctkit.geometry import FloatArray, Geometry, Triple
from qctkit.view import View

SPLINE_RIM = 12
"""Voxels by which SciPy itself widens an array whose border value goes on, before it finds a
spline's weights."""


@dataclass(frozen=True)
class ViewGrid:
    """The predictors' view: trilinear where the displacement is looked for, with its gradient.

    Where it is given, HU follow cubic splines, as in a scan's own voxels. Trilinear ones blur the
    cortex, and a loop makes up for that with density that the rendering would show in excess.
    """

    view: View

    def displaced(self, scene: Scene, displacement_mm: Displacement) -> Scene:
        """Return the scene with what lies at displaced positions."""
        arrays = torch.stack([scene.hu, scene.femur, scene.depth_mm], dim=1)
        shift = in_steps(displacement_mm(scene.positions_mm), self.view)
        hu, femur, depth = shifted(arrays, shift).unbind(dim=1)
        if not shift.requires_grad:
            hu = hu + (_sharp(scene.hu.detach(), shift) - hu.detach())
        return replace(scene, hu=hu, femur=femur, depth_mm=depth, view_depth_mm=depth)

    def blur(self, change_hu: Tensor, sigma_mm: float) -> Tensor:  # noqa: ARG002
        """Return the change as it is: voxels of a view are wider than the blur."""
        return change_hu


@dataclass(frozen=True, eq=False)
class VoxelGrid:
    """A scan's own voxels: cubic splines, without gradient.

    Attributes:
        to_index: ``(3, 3)``, steps along ``(D, H, W)`` per mm of (superior, anterior, medial).
        origin: where the frame's origin lies, in voxels ``(D, H, W)``.
        spacing_mm: along ``(D, H, W)``.
    """

    to_index: FloatArray
    origin: FloatArray
    spacing_mm: Triple

    @classmethod
    def of(cls, geometry: Geometry, frame: FemurFrame) -> "VoxelGrid":
        """Return the grid of a scan that a femur frame is placed in."""
        steps = geometry.to_index(frame.to_world(np.vstack([np.zeros(3), np.eye(3)])))
        return cls((steps[1:] - steps[0]).T, steps[0], geometry.spacing_mm)

    def displaced(self, scene: Scene, displacement_mm: Displacement) -> Scene:
        """Return the scene with what lies at displaced positions; the femur is where depth > 0."""
        to_index = self.to_index.T.astype(np.float32)
        shift = np.empty(scene.positions_mm.shape[1:], dtype=np.float32)
        for part in slabs(shift.shape):
            shift[part] = displacement_mm(scene.positions_mm[:, part])[0].numpy() @ to_index
        hu, depth = self.moved(scene.hu[0].numpy(), scene.depth_mm[0].numpy(), shift)
        view_grid = torch.from_numpy(scene.view.positions_mm).float()[None]
        view_shift = in_steps(displacement_mm(view_grid), scene.view)
        return replace(
            scene,
            hu=torch.from_numpy(hu)[None],
            femur=torch.from_numpy(depth > 0.0).to(scene.femur.dtype)[None],
            depth_mm=torch.from_numpy(depth)[None],
            view_depth_mm=shifted(scene.view_depth_mm[:, None], view_shift)[:, 0],
        )

    def moved(self, hu: Array, depth_mm: Array, shift: Array) -> tuple[Array, Array]:
        """Return HU and depths ``(D, H, W)`` of what lies ``shift`` voxels away.

        The surface of the femur is moved as a surface, the rest by splines.
        """
        is_moved = (shift != 0.0).any(axis=-1)
        still = np.indices(hu.shape, dtype=np.float32)
        depth = smooth_depth(depth_mm, self.spacing_mm)
        surface = Surface.learned(hu, depth, self.spacing_mm, self.origin)
        rest = _splined(hu - surface.shown(still, depth), shift)
        moved_depth = _splined(depth, shift)
        moved_hu = rest + surface.shown(still + np.moveaxis(shift, -1, 0), moved_depth)
        return np.where(is_moved, moved_hu, hu), np.where(is_moved, moved_depth, depth_mm)

    def blur(self, change_hu: Tensor, sigma_mm: float) -> Tensor:
        """Return the change after a Gaussian of this sigma."""
        sigma = [sigma_mm / spacing for spacing in self.spacing_mm]
        blurred = ndimage.gaussian_filter(change_hu[0].numpy(), sigma, mode="nearest")
        return torch.from_numpy(blurred)[None]


def in_steps(displacement_mm: Tensor, view: View) -> Tensor:
    """Return displacements ``(..., 3)`` in mm as steps of a view's grid."""
    return displacement_mm / displacement_mm.new_tensor(view.spacing_mm)


def shifted(values: Tensor, shift: Tensor) -> Tensor:
    """Return arrays ``(N, C, D, H, W)`` at their own voxels plus ``shift`` ``(N, D, H, W, 3)``.

    Trilinear, shift in voxels along (D, H, W). What is added is the difference from no shift, so
    that none leaves the values exactly as they are.
    """
    last = shift.new_tensor(values.shape[2:]) - 1.0
    axes = [torch.arange(n, dtype=shift.dtype) for n in values.shape[2:]]
    still = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)[None]
    moved = _at(values, still + shift, last)
    return values + (moved - _at(values, still + 0.0 * shift.detach(), last))


def _at(values: Tensor, index: Tensor, last: Tensor) -> Tensor:
    """Return arrays ``(N, C, D, H, W)`` at fractional indices ``(N, d, h, w, 3)``."""
    grid = (2.0 * index / last - 1.0).flip(-1)
    return torch.nn.functional.grid_sample(
        values, grid, mode="bilinear", padding_mode="border", align_corners=True
    )


def _sharp(hu: Tensor, shift: Tensor) -> Tensor:
    """Return HU ``(N, D, H, W)`` at their voxels plus ``shift`` ``(N, D, H, W, 3)``, by splines."""
    pairs = zip(hu.numpy(), shift.numpy(), strict=True)
    return torch.from_numpy(np.stack([_splined(one, there) for one, there in pairs]))


def _splined(values: Array, shift: Array) -> Array:
    """Return an array ``(D, H, W)`` at its voxels plus ``shift`` ``(D, H, W, 3)``, by splines."""
    # As map_coordinates begins, once for all slices; the rim lets splines see past the border.
    weights = ndimage.spline_filter(np.pad(values, SPLINE_RIM, mode="edge"), mode="nearest")
    result = values.copy()
    for part in slabs(shift.shape):
        moved = (shift[part] != 0.0).any(axis=-1)
        first = np.array([[part.start], [0], [0]])
        index = np.argwhere(moved).T + first + shift[part][moved].T + SPLINE_RIM
        result[part][moved] = ndimage.map_coordinates(
            weights, index, order=3, mode="nearest", prefilter=False
        )
    return result
