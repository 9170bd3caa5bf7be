"""``soft-tissue``: the envelope of fat and muscle, and the fat between and within muscles."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from qctkit.cohort import Sample
from qctkit.contracts import Scene
from qctkit.engine.edits.morph import (
    LARGEST_DISPLACEMENT_MM,
    MAP_LIMITS,
    allowed,
    flow_figures,
)
from qctkit.engine.fields import field_at, knots, view_values_at
from qctkit.engine.flow import Flow, grid_positions_mm, reach_mm, velocity, velocity_knots
from qctkit.engine.regions import within_box
from qctkit.frame import FemurFrame
from qctkit.view import View
from qctkit.volume import Mask

HELD_MM = 3.0
FREE_MM = 13.0
"""Distance from the bone up to which soft tissue stays, and from which it moves freely: muscles
are attached to bone, and the grid of the flow must not reach into it."""

LEAN_HU = 55.0
FAT_HU = -100.0
"""Muscle and fat: 42 to 58 HU and -98 to -110 HU, measured on eight real scans of the hip."""

LARGEST_LOG_ODDS = 3.0
"""A voxel that is a tenth fat may become two thirds fat, or nearly lean."""

SPREAD_MM = 6.0
"""Layers of fat over the hip differ by about a centimetre between people [A]."""

SPREAD_LOG_ODDS = 0.7
"""The fat between muscles differs by about a factor of two between people [A]."""


@dataclass(frozen=True)
class SoftTissue:
    """Tissue around the femur moves, then the odds of fat in each voxel are multiplied by exp(g).

    The velocity (mm over unit time, on knots 20 mm apart) counts from nothing near the bone to
    full 13 mm away from it; femur and mask stay. With f = (lean - HU) / (lean - fat), cut to
    [0, 1], the share of fat becomes f exp(g) / (1 - f + f exp(g)): pure fat and pure muscle stay,
    and sheets of fat widen or narrow.
    """

    name: str = "soft-tissue"
    account: str = (
        "where fat and muscle lie around the femur, by a smooth map that leaves the bone, and how "
        "much fat there is between and within muscles"
    )
    limits: str = f"{MAP_LIMITS}, log odds of fat changed by at most {LARGEST_LOG_ODDS:g}"
    reach_mm: float = LARGEST_DISPLACEMENT_MM
    units: Mapping[str, str] = field(
        default_factory=lambda: {"velocity_mm": "mm", "fat_log_odds": ""}
    )
    step_sizes: Mapping[str, float] = field(
        default_factory=lambda: {"velocity_mm": 0.5, "fat_log_odds": 0.1}
    )
    spreads: Mapping[str, float] = field(
        default_factory=lambda: {"velocity_mm": SPREAD_MM, "fat_log_odds": SPREAD_LOG_ODDS}
    )

    def start(self, batch: int, view: View) -> dict[str, Tensor]:
        """Return a velocity of zero, ``(N, 3, knots)``, and log odds of zero, ``(N, knots)``."""
        return {
            "velocity_mm": torch.zeros(batch, 3, *velocity_knots(view)),
            "fat_log_odds": torch.zeros(batch, *knots(view)),
        }

    def apply(self, scene: Scene, parameters: Mapping[str, Tensor]) -> Scene:
        """Return the scene after the tissue has moved and its fat has changed."""
        velocity_mm = parameters["velocity_mm"]
        still = not velocity_mm.requires_grad and not velocity_mm.any()
        moved = scene if still else scene.displaced(_origin(scene, velocity_mm))
        change = _change_of_fat_hu(moved, parameters["fat_log_odds"])
        return replace(
            moved,
            hu=torch.where(scene.depth_mm > 0.0, scene.hu, moved.hu + change),
            femur=scene.femur,
            depth_mm=scene.depth_mm,
            view_depth_mm=scene.view_depth_mm,
        )

    def region(self, sample: Sample, frame: FemurFrame, view: View) -> Mask:
        """Return the voxels within the knots' reach."""
        return within_box(sample, frame, reach_mm(velocity_knots(view)))

    def within_limits(self, scene: Scene, parameters: Mapping[str, Tensor]) -> Tensor:
        """Whether the map keeps its sense everywhere, and fat changes as much as in people."""
        return allowed(_origin(scene, parameters["velocity_mm"])) & (
            _largest(parameters["fat_log_odds"]) <= LARGEST_LOG_ODDS
        )

    def figures(self, scene: Scene, parameters: Mapping[str, Tensor]) -> list[Mapping[str, float]]:
        """Return det J, the largest displacement in mm and the largest change of log odds."""
        moved = flow_figures(_origin(scene, parameters["velocity_mm"]))
        fat = _largest(parameters["fat_log_odds"]).tolist()
        return [{**row, "largest_fat_log_odds": odds} for row, odds in zip(moved, fat, strict=True)]


def _origin(scene: Scene, velocity_mm: Tensor) -> Flow:
    """Return the flow from each place to where its tissue came from: none near the bone."""
    free = velocity(-velocity_mm)
    positions_mm = grid_positions_mm(free)
    depth_mm = view_values_at(scene.view_depth_mm, positions_mm, scene.view, padding="border")
    return Flow.of(free * _ramp((-depth_mm - HELD_MM) / (FREE_MM - HELD_MM))[:, None])


def _change_of_fat_hu(scene: Scene, log_odds: Tensor) -> Tensor:
    """Return the change in HU ``(N, D, H, W)`` as the odds of fat change outside the bone."""
    fat = ((LEAN_HU - scene.hu) / (LEAN_HU - FAT_HU)).clamp(0.0, 1.0)
    factor = torch.expm1(field_at(log_odds, scene.positions_mm, scene.view))
    more = fat * (1.0 - fat) * factor / (1.0 + fat * factor)
    return more * _ramp(-scene.depth_mm / HELD_MM) * (FAT_HU - LEAN_HU)


def _ramp(part: Tensor) -> Tensor:
    """Return a smooth rise from 0 at 0 to 1 at 1."""
    cut = part.clamp(0.0, 1.0)
    return cut * cut * (3.0 - 2.0 * cut)


def _largest(values: Tensor) -> Tensor:
    return values.abs().flatten(1).amax(dim=1)
