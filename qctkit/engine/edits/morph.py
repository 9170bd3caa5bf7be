"""``morph``: a smooth invertible change of shape, bone and surroundings together."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from qctkit.cohort import Sample
from qctkit.contracts import Scene
from qctkit.engine.flow import Flow, reach_mm, velocity, velocity_knots
from qctkit.engine.regions import within_box
from qctkit.frame import FemurFrame
from qctkit.view import View
from qctkit.volume import Mask

LARGEST_GROWTH = 3.0
"""How many times a small volume may grow or shrink: three is more than any two adults' bones
differ by, and a fold would have shrunk to 0."""

LARGEST_DISPLACEMENT_MM = 20.0
"""Nearly half the width of a femoral head."""

SPREAD_MM = 3.0
"""Lengths of the proximal femur differ by about 7 % among people of one sex [A]: 3 mm over a
femoral head of 46 mm."""


def map_limits(furthest_mm: float, growth: float) -> str:
    """Return in words what ``allowed`` asks of a map."""
    return (
        f"displacement at most {furthest_mm:g} mm, local volumes between 1/{growth:g} and "
        f"{growth:g} times their own"
    )


MAP_LIMITS = map_limits(LARGEST_DISPLACEMENT_MM, LARGEST_GROWTH)


@dataclass(frozen=True)
class Morph:
    """Tissue moves by the flow of a velocity field (mm over unit time) on knots 20 mm apart.

    The flow carries the tissue; the new image shows at each place what lay there before it, by
    the flow of the field's negative, which is the exact inverse.
    """

    name: str = "morph"
    account: str = (
        "the shape of the femur and of what surrounds it, by a smooth map that can be inverted; "
        "it fades out within 50 mm beyond the box that predictors see"
    )
    limits: str = MAP_LIMITS
    reach_mm: float = LARGEST_DISPLACEMENT_MM
    units: Mapping[str, str] = field(default_factory=lambda: {"velocity_mm": "mm"})
    step_sizes: Mapping[str, float] = field(default_factory=lambda: {"velocity_mm": 0.3})
    spreads: Mapping[str, float] = field(default_factory=lambda: {"velocity_mm": SPREAD_MM})

    def start(self, batch: int, view: View) -> dict[str, Tensor]:
        """Return a velocity of zero, ``(N, 3, knots)`` for (superior, anterior, medial)."""
        return {"velocity_mm": torch.zeros(batch, 3, *velocity_knots(view))}

    def apply(self, scene: Scene, parameters: Mapping[str, Tensor]) -> Scene:
        """Return the scene after the tissue has moved."""
        return scene.displaced(_origin(parameters))

    def region(self, sample: Sample, frame: FemurFrame, view: View) -> Mask:
        """Return the voxels within the knots' reach."""
        return within_box(sample, frame, reach_mm(velocity_knots(view)))

    def within_limits(self, scene: Scene, parameters: Mapping[str, Tensor]) -> Tensor:  # noqa: ARG002
        """Whether the map keeps its sense everywhere and goes no further than 20 mm."""
        return allowed(_origin(parameters))

    def figures(
        self,
        scene: Scene,  # noqa: ARG002
        parameters: Mapping[str, Tensor],
    ) -> list[Mapping[str, float]]:
        """Return the least and greatest det J and the largest displacement in mm."""
        return flow_figures(_origin(parameters))


def _origin(parameters: Mapping[str, Tensor]) -> Flow:
    """Return the flow from each place to where its tissue came from."""
    return Flow.of(velocity(-parameters["velocity_mm"]))


def allowed(
    flow: Flow, furthest_mm: float = LARGEST_DISPLACEMENT_MM, growth: float = LARGEST_GROWTH
) -> Tensor:
    """Return ``(N,)`` bool: whether volumes and distances stay within what bodies differ by."""
    least, greatest = flow.determinants().flatten(1).aminmax(dim=1)
    return (least >= 1.0 / growth) & (greatest <= growth) & (_furthest_mm(flow) <= furthest_mm)


def flow_figures(flow: Flow) -> list[Mapping[str, float]]:
    """Return the least and greatest det J and the largest displacement (mm) of each sample."""
    least, greatest = flow.determinants().flatten(1).aminmax(dim=1)
    return [
        {
            "least_determinant": float(low),
            "greatest_determinant": float(high),
            "largest_displacement_mm": float(furthest),
        }
        for low, high, furthest in zip(least, greatest, _furthest_mm(flow), strict=True)
    ]


def _furthest_mm(flow: Flow) -> Tensor:
    return flow.displacement_mm.square().sum(dim=1).sqrt().flatten(1).amax(dim=1)
