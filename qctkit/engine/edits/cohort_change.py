"""``cohort-shape`` and ``cohort-density``: what the cohort says a change of attributes does.

Their parameters are found by regression over the cohort (``qctkit.engine.atlas``) and not by the
loop, which starts from them: a field this fine, left free, could fool any predictor.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from qctkit.cohort import Sample
from qctkit.contracts import Scene
from qctkit.engine.atlas import FAT_HU, Start
from qctkit.engine.edits.density_field import BLUR_SIGMA_MM, LEAK_MM
from qctkit.engine.edits.morph import allowed, flow_figures, map_limits
from qctkit.engine.fields import view_values_at
from qctkit.engine.flow import Flow, grid_positions_mm, reach_mm, velocity, velocity_knots
from qctkit.engine.regions import grown_femur, within_box
from qctkit.engine.registration import knots, smoothed
from qctkit.frame import FemurFrame
from qctkit.view import View
from qctkit.volume import Mask

SHAPE_SPREAD_MM = 6.0
DENSITY_SPREAD_HU = 60.0
"""How far people of one age and sex differ at one place, mm and HU [A]."""

LARGEST_DISPLACEMENT_MM = 80.0
LARGEST_GROWTH = 25.0
"""Fat over the hip is 1 cm thick in some and 8 cm in others: skin moves far, and a small volume of
fat may grow or shrink many times. That the map can be inverted is checked all the same, and what
the bone does is the structure validator's to judge."""

SMOOTHING_KNOTS, MOST_SMOOTHINGS = 0.7, 6
"""Sigma by which a velocity whose map is not allowed is smoothed, and how often at most."""

LARGEST_CHANGE_HU = 900.0

AIR_HU = -1000.0

FADE_MM = 20.0
"""Beyond the box that predictors see, a change of density fades out over this distance."""


@dataclass(frozen=True)
class CohortShape:
    """Tissue moves by the flow of a velocity field (mm over unit time) on knots 9 mm apart."""

    name: str = "cohort-shape"
    account: str = (
        "the shape of the femur and where fat and muscle lie, by a smooth map that can be "
        "inverted, as shapes follow the attributes in the cohort; bone does not follow weight"
    )
    limits: str = map_limits(LARGEST_DISPLACEMENT_MM, LARGEST_GROWTH)
    reach_mm: float = LARGEST_DISPLACEMENT_MM
    units: Mapping[str, str] = field(default_factory=lambda: {"velocity_mm": "mm"})
    step_sizes: Mapping[str, float] = field(default_factory=lambda: {"velocity_mm": 0.0})
    spreads: Mapping[str, float] = field(default_factory=lambda: {"velocity_mm": SHAPE_SPREAD_MM})

    def start(self, batch: int, view: View) -> dict[str, Tensor]:
        """Return a velocity of zero, ``(N, 3, knots)`` for (superior, anterior, medial)."""
        return {"velocity_mm": torch.zeros(batch, 3, *knots(view))}

    def from_atlas(self, start: Start) -> dict[str, Tensor]:
        """Return the velocity that the cohort's shapes say, smoothed until its map is allowed.

        A great change of weight asks of a thin layer of fat more than knots 9 mm apart can draw.
        """
        velocity_mm = start.velocity_mm
        for _ in range(MOST_SMOOTHINGS):
            fit = self._allowed({"velocity_mm": velocity_mm}, start.view)
            if fit.all():
                break
            calmer = smoothed(velocity_mm, SMOOTHING_KNOTS)
            velocity_mm = torch.where(fit[:, None, None, None, None], velocity_mm, calmer)
        return {"velocity_mm": velocity_mm}

    def apply(self, scene: Scene, parameters: Mapping[str, Tensor]) -> Scene:
        """Return the scene after the tissue has moved."""
        return scene.displaced(_origin(parameters, scene.view))

    def region(self, sample: Sample, frame: FemurFrame, view: View) -> Mask:
        """Return the voxels within the reach of the flow."""
        return within_box(sample, frame, reach_mm(velocity_knots(view)))

    def within_limits(self, scene: Scene, parameters: Mapping[str, Tensor]) -> Tensor:
        """Whether the map keeps its sense everywhere and goes no further than bodies differ."""
        return self._allowed(parameters, scene.view)

    def figures(self, scene: Scene, parameters: Mapping[str, Tensor]) -> list[Mapping[str, float]]:
        """Return the least and greatest det J and the largest displacement in mm."""
        return flow_figures(_origin(parameters, scene.view))

    def _allowed(self, parameters: Mapping[str, Tensor], view: View) -> Tensor:
        return allowed(_origin(parameters, view), self.reach_mm, LARGEST_GROWTH)


@dataclass(frozen=True)
class CohortDensity:
    """HU' = HU + a, a on the predictors' grid; in the femur alone, or everywhere."""

    name: str = "cohort-density"
    account: str = (
        "density of the femur, place by place, as it follows the attributes in the cohort"
    )
    everywhere: bool = False
    limits: str = f"change at most {LARGEST_CHANGE_HU:g} HU"
    reach_mm: float = 0.0
    units: Mapping[str, str] = field(default_factory=lambda: {"added_hu": "HU"})
    step_sizes: Mapping[str, float] = field(default_factory=lambda: {"added_hu": 0.0})
    spreads: Mapping[str, float] = field(default_factory=lambda: {"added_hu": DENSITY_SPREAD_HU})

    def start(self, batch: int, view: View) -> dict[str, Tensor]:
        """Return a change of zero, ``(N, *view.shape)``."""
        return {"added_hu": torch.zeros(batch, *view.shape)}

    def from_atlas(self, start: Start) -> dict[str, Tensor]:
        """Return the change that the cohort's densities say."""
        return {"added_hu": start.added_hu}

    def apply(self, scene: Scene, parameters: Mapping[str, Tensor]) -> Scene:
        """Return the scene with the change added, through the scanner's blur."""
        added = view_values_at(
            parameters["added_hu"], scene.positions_mm, scene.view, padding="border"
        )
        change = scene.grid.blur(added * self._share(scene), BLUR_SIGMA_MM)
        return replace(scene, hu=scene.hu + change)

    def region(self, sample: Sample, frame: FemurFrame, view: View) -> Mask:
        """Return the femur grown by 2 mm, or all voxels within reach."""
        if self.everywhere:
            return within_box(sample, frame, view.half_extent_mm + FADE_MM)
        return grown_femur(sample, LEAK_MM)

    def within_limits(self, scene: Scene, parameters: Mapping[str, Tensor]) -> Tensor:  # noqa: ARG002
        """Whether no place changes by more than bone and marrow differ."""
        return parameters["added_hu"].abs().flatten(1).amax(dim=1) <= LARGEST_CHANGE_HU

    def figures(
        self,
        scene: Scene,  # noqa: ARG002
        parameters: Mapping[str, Tensor],
    ) -> list[Mapping[str, float]]:
        """Return the largest change in HU."""
        largest = parameters["added_hu"].abs().flatten(1).amax(dim=1).tolist()
        return [{"largest_added_hu": value} for value in largest]

    def _share(self, scene: Scene) -> Tensor:
        """Return how much of the change counts at each place, from 0 to 1."""
        if not self.everywhere:
            return (1.0 + scene.depth_mm / LEAK_MM).clamp(0.0, 1.0)
        half = scene.positions_mm.new_tensor(scene.view.half_extent_mm)
        beyond = (scene.positions_mm.abs() - half).clamp(min=0.0).amax(dim=-1)
        # Air has nothing to change, and a voxel half in air half of it.
        tissue = ((scene.hu - AIR_HU) / (FAT_HU - AIR_HU)).clamp(0.0, 1.0)
        return tissue * (1.0 - beyond / FADE_MM).clamp(min=0.0)


def cohort_tissue() -> CohortDensity:
    """Return the edit of all tissues: bone, and fat within and between muscles."""
    return CohortDensity(
        name="cohort-tissue",
        account=(
            "density of the femur and of the tissue around it, place by place, as it follows the "
            "attributes in the cohort"
        ),
        everywhere=True,
    )


def _origin(parameters: Mapping[str, Tensor], view: View) -> Flow:
    """Return the flow from each place to where its tissue came from; it fades beyond the view."""
    velocity_mm = parameters["velocity_mm"]
    still = velocity(velocity_mm.new_zeros(1, 3, *velocity_knots(view)))
    positions_mm = grid_positions_mm(still)
    there = torch.stack(
        [
            view_values_at(one, positions_mm, view, padding="border")
            for one in velocity_mm.unbind(dim=1)
        ],
        dim=1,
    )
    half = positions_mm.new_tensor(view.half_extent_mm)
    room = positions_mm.abs().amax(dim=(0, 1, 2, 3)) - half
    beyond = ((positions_mm.abs() - half) / room).clamp(0.0, 1.0).amax(dim=-1)[:, None]
    return Flow.of(-there * torch.cos(beyond * (torch.pi / 2.0)).square())
