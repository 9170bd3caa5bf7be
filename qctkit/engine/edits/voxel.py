"""``voxel``: one free value per voxel of the predictors' view, the source study's algorithm.

Kept as the baseline: it meets every target by its own predictor and changes nothing real.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from qctkit.cohort import Sample
from qctkit.contracts import Scene
from qctkit.engine.fields import view_values_at
from qctkit.engine.grids import ViewGrid
from qctkit.engine.regions import within_box
from qctkit.frame import FemurFrame
from qctkit.view import View
from qctkit.volume import Mask

LARGEST_CHANGE_HU = 2000.0

SPREAD_HU = 40.0
"""As of the density field's shift; free voxels have no spread of their own."""


@dataclass(frozen=True)
class Voxel:
    """HU' = HU + v, with v free in every voxel of the view and interpolated between them."""

    name: str = "voxel"
    account: str = "any voxel near the femur, each freely; nothing keeps the change physical"
    limits: str = f"change at most {LARGEST_CHANGE_HU:g} HU"
    reach_mm: float = 0.0
    units: Mapping[str, str] = field(default_factory=lambda: {"change_hu": "HU"})
    step_sizes: Mapping[str, float] = field(default_factory=lambda: {"change_hu": 5.0})
    spreads: Mapping[str, float] = field(default_factory=lambda: {"change_hu": SPREAD_HU})

    def start(self, batch: int, view: View) -> dict[str, Tensor]:
        """Return a change of zero, ``(N, D, H, W)``."""
        return {"change_hu": torch.zeros(batch, *view.shape)}

    def apply(self, scene: Scene, parameters: Mapping[str, Tensor]) -> Scene:
        """Return the scene with the change, interpolated from the view's grid; none beyond it."""
        return replace(scene, hu=scene.hu + _at(parameters["change_hu"], scene))

    def region(self, sample: Sample, frame: FemurFrame, view: View) -> Mask:
        """Return the voxels inside the view's box."""
        return within_box(sample, frame, view.half_extent_mm)

    def within_limits(self, scene: Scene, parameters: Mapping[str, Tensor]) -> Tensor:  # noqa: ARG002
        """Whether the change stays within what a scanner can show."""
        return _largest(parameters) <= LARGEST_CHANGE_HU

    def figures(
        self,
        scene: Scene,  # noqa: ARG002
        parameters: Mapping[str, Tensor],
    ) -> list[Mapping[str, float]]:
        """Return the largest change in HU."""
        return [{"largest_change_hu": float(one)} for one in _largest(parameters)]


def _at(values: Tensor, scene: Scene) -> Tensor:
    """Return values ``(N, *view.shape)`` on the view's grid at the scene's voxels."""
    if isinstance(scene.grid, ViewGrid):
        return values
    return view_values_at(values, scene.positions_mm, scene.view, padding="zeros")


def _largest(parameters: Mapping[str, Tensor]) -> Tensor:
    """Return the largest absolute change, ``(N,)``."""
    return parameters["change_hu"].abs().amax(dim=(1, 2, 3))
