"""``cohort-modes``: only such changes as the cohort's own people show among each other.

The modes are learned of the cohort without the subject that is edited (``qctkit.engine.modes``),
carried into its anatomy, and held; the loop moves one coefficient for each. Both are parameters, so
that a sample can be made again without the cohort.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt

import numpy as np
import torch
from torch import Tensor

from qctkit.cohort import Sample
from qctkit.contracts import Scene
from qctkit.engine.atlas import Start
from qctkit.engine.chi_square import usual_square
from qctkit.engine.edits.cohort_change import (
    DENSITY_SPREAD_HU,
    LARGEST_DISPLACEMENT_MM,
    SHAPE_SPREAD_MM,
    CohortShape,
    cohort_tissue,
)
from qctkit.engine.modes import MODES
from qctkit.engine.registration import knots
from qctkit.frame import FemurFrame
from qctkit.view import View
from qctkit.volume import Mask

MOST_SD = sqrt(2.0 * usual_square(MODES))
"""How far a change may go, all modes together: 95 % of pairs of people lie no further apart. The
difference of two people has twice the variance of one."""


@dataclass(frozen=True)
class CohortModes:
    """Density, then shape, each the sum of modes times their coefficients (SD).

    ``density_hu`` ``(N, M, D, H, W)`` on the view's grid and ``shape_mm`` ``(N, M, 3, knots)``, a
    velocity, are what one standard deviation of a mode does. Without an atlas there are no modes,
    and nothing changes.
    """

    name: str = "cohort-modes"
    account: str = (
        f"shape, density and soft tissue together, along the {MODES} directions in which people of "
        "the cohort differ most, no further than two of them lie apart; map and mask move smoothly"
    )
    limits: str = (
        f"all modes together at most {MOST_SD:.2f} SD; {CohortShape().limits}; "
        f"{cohort_tissue().limits}"
    )
    reach_mm: float = LARGEST_DISPLACEMENT_MM
    units: Mapping[str, str] = field(
        default_factory=lambda: {"coefficients": "SD", "density_hu": "HU", "shape_mm": "mm"}
    )
    step_sizes: Mapping[str, float] = field(
        default_factory=lambda: {"coefficients": 0.15, "density_hu": 0.0, "shape_mm": 0.0}
    )
    spreads: Mapping[str, float] = field(
        default_factory=lambda: {
            "coefficients": 1.0,
            "density_hu": DENSITY_SPREAD_HU,
            "shape_mm": SHAPE_SPREAD_MM,
        }
    )

    def start(self, batch: int, view: View) -> dict[str, Tensor]:
        """Return coefficients ``(N, M, 1, 1, 1)`` and modes of zero."""
        return {
            "coefficients": torch.zeros(batch, MODES, 1, 1, 1),
            "density_hu": torch.zeros(batch, MODES, *view.shape),
            "shape_mm": torch.zeros(batch, MODES, 3, *knots(view)),
        }

    def from_atlas(self, start: Start) -> dict[str, Tensor]:
        """Return the modes of the cohort; the coefficients stay at zero."""
        if start.modes is None:
            return {}
        modes = start.modes()
        return {"density_hu": modes.density_hu, "shape_mm": modes.shape_mm}

    def apply(self, scene: Scene, parameters: Mapping[str, Tensor]) -> Scene:
        """Return the scene after its density has changed and its tissue has moved."""
        denser = cohort_tissue().apply(scene, _density(parameters))
        return CohortShape().apply(denser, _shape(parameters))

    def moving_part(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the parameters with modes that only move."""
        return {**parameters, "density_hu": torch.zeros_like(parameters["density_hu"])}

    def region(self, sample: Sample, frame: FemurFrame, view: View) -> Mask:
        """Return the voxels within reach of the modes."""
        edits = (cohort_tissue(), CohortShape())
        return np.asarray(np.logical_or.reduce([one.region(sample, frame, view) for one in edits]))

    def within_limits(self, scene: Scene, parameters: Mapping[str, Tensor]) -> Tensor:
        """Whether two people may lie so far apart, and the map keeps its sense everywhere."""
        return (
            (_distance_sd(parameters) <= MOST_SD)
            & cohort_tissue().within_limits(scene, _density(parameters))
            & CohortShape().within_limits(scene, _shape(parameters))
        )

    def figures(self, scene: Scene, parameters: Mapping[str, Tensor]) -> list[Mapping[str, float]]:
        """Return how far the change goes in SD, and its largest density and displacement."""
        rows = zip(
            _distance_sd(parameters).tolist(),
            cohort_tissue().figures(scene, _density(parameters)),
            CohortShape().figures(scene, _shape(parameters)),
            strict=True,
        )
        return [{"distance_sd": away, **density, **shape} for away, density, shape in rows]


def _density(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    added = (parameters["coefficients"] * parameters["density_hu"]).sum(dim=1)
    return {"added_hu": added}


def _shape(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    velocity = (parameters["coefficients"][:, :, None] * parameters["shape_mm"]).sum(dim=1)
    return {"velocity_mm": velocity}


def _distance_sd(parameters: Mapping[str, Tensor]) -> Tensor:
    """Return the Mahalanobis distance ``(N,)`` between before and after: modes are independent."""
    return parameters["coefficients"].square().flatten(1).sum(dim=1).sqrt()
