"""``voxel``: one free value per voxel of the predictors' view, the source study's algorithm.

Kept as the baseline: it meets every target by its own predictor and changes nothing real.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from qctkit.cohort import Sample
from qctkit.contracts import Scene
from qctkit.frame import FemurFrame
from qctkit.view import View
from qctkit.volume import Mask

LARGEST_CHANGE_HU = 2000.0


@dataclass(frozen=True)
class Voxel:
    """HU' = HU + v, with v free in every voxel of the view and interpolated between them."""

    name: str = "voxel"
    account: str = "any voxel near the femur, each freely; nothing keeps the change physical"
    blur_mm: float = 0.0
    units: Mapping[str, str] = field(default_factory=lambda: {"change_hu": "HU"})
    step_sizes: Mapping[str, float] = field(default_factory=lambda: {"change_hu": 5.0})

    def start(self, batch: int, view: View) -> dict[str, Tensor]:
        """Return a change of zero, ``(N, D, H, W)``."""
        return {"change_hu": torch.zeros(batch, *view.shape)}

    def change_hu(self, scene: Scene, parameters: Mapping[str, Tensor]) -> Tensor:
        """Return the change, interpolated from the view's grid; nothing beyond the view."""
        values = parameters["change_hu"]
        if _on_view_grid(scene.positions, values.shape):
            return values
        grid = scene.positions.flip(-1).expand(len(values), *scene.positions.shape[1:])
        sampled = torch.nn.functional.grid_sample(
            values[:, None], grid, mode="bilinear", padding_mode="zeros", align_corners=True
        )
        return sampled[:, 0]

    def region(self, sample: Sample, frame: FemurFrame, view: View) -> Mask:
        """Return the voxels inside the view's box."""
        geometry = sample.volume.geometry
        indices = np.moveaxis(np.indices(geometry.shape), 0, -1)
        inside = np.empty(geometry.shape, dtype=bool)
        for d in range(geometry.shape[0]):
            offset = np.abs(frame.from_world(geometry.to_world(indices[d])))
            inside[d] = (offset <= view.half_extent_mm).all(axis=-1)
        return inside

    def within_limits(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """Whether the change stays within what a scanner can show."""
        return parameters["change_hu"].abs().amax(dim=(1, 2, 3)) <= LARGEST_CHANGE_HU


_CORNERS = ((-1.0, -1.0, -1.0), (1.0, -1.0, -1.0), (-1.0, 1.0, -1.0), (-1.0, -1.0, 1.0))


def _on_view_grid(positions: Tensor, shape: torch.Size) -> bool:
    """Whether positions are the view's own grid; a scan may have its shape but other points."""
    if positions.shape[1:4] != shape[1:]:
        return False
    corners = positions[0, (0, -1, 0, 0), (0, 0, -1, 0), (0, 0, 0, -1)]
    return len(positions) == 1 and torch.allclose(corners, corners.new_tensor(_CORNERS), atol=1e-5)
