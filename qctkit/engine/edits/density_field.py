"""``density-field``: smooth changes of bone density inside the femur, geometry untouched."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from qctkit.cohort import Sample
from qctkit.contracts import Scene
from qctkit.engine.fields import field_at, knots
from qctkit.engine.regions import grown_femur
from qctkit.frame import FemurFrame
from qctkit.view import View
from qctkit.volume import Mask

LEAK_MM = 2.0
"""How far the scanner's blur carries a true change of density beyond the bone's surface."""

BLUR_SIGMA_MM = 0.75
"""In-plane blur of clinical CT: FWHM 1.6 to 2.1 mm measured at the skin (an upper bound)."""

LARGEST_LOG_FACTOR = 0.8
"""Density may fall to 0.45 or rise to 2.2 times its value: the span from youth to old age
(Riggs 2004: -46 to -55 % trabecular over life)."""

LARGEST_SHIFT_HU = 250.0

DENSITY_SPREAD = 0.15
DENSITY_SPREAD_HU = 40.0
"""Density varies by about 15 % of its mean among people of one age and sex (figures page of the
project, recalled), which is 40 HU at a trabecular 250 HU."""


@dataclass(frozen=True)
class DensityField:
    """HU' = HU + w (max(HU, 0) (exp(g) - 1) + a), with w the femur's share of the voxel.

    g (log factor, unit-free) and a (HU) are smooth fields on knots 27 mm apart. A factor alone
    could not thin trabeculae whose marrow fat already brings the mean near 0 HU, so a shift goes
    beside it.
    """

    name: str = "density-field"
    account: str = (
        "density of the femur, smoothly; the outline, soft tissue and everything further than 2 mm "
        "from the bone keep their voxels"
    )
    limits: str = (
        f"log factor at most {LARGEST_LOG_FACTOR:g}, shift at most {LARGEST_SHIFT_HU:g} HU"
    )
    reach_mm: float = 0.0
    units: Mapping[str, str] = field(default_factory=lambda: {"log_factor": "", "shift_hu": "HU"})
    step_sizes: Mapping[str, float] = field(
        default_factory=lambda: {"log_factor": 0.02, "shift_hu": 4.0}
    )
    spreads: Mapping[str, float] = field(
        default_factory=lambda: {"log_factor": DENSITY_SPREAD, "shift_hu": DENSITY_SPREAD_HU}
    )

    def start(self, batch: int, view: View) -> dict[str, Tensor]:
        """Return both fields at zero, ``(N, knots)``."""
        shape = (batch, *knots(view))
        return {"log_factor": torch.zeros(shape), "shift_hu": torch.zeros(shape)}

    def apply(self, scene: Scene, parameters: Mapping[str, Tensor]) -> Scene:
        """Return the scene with the change of density seen through the femur's share of voxels."""
        log_factor = field_at(parameters["log_factor"], scene.positions_mm, scene.view)
        shift = field_at(parameters["shift_hu"], scene.positions_mm, scene.view)
        change = scene.femur * (scene.hu.clamp(min=0.0) * torch.expm1(log_factor) + shift)
        return replace(scene, hu=scene.hu + scene.grid.blur(change, BLUR_SIGMA_MM))

    def region(self, sample: Sample, frame: FemurFrame, view: View) -> Mask:  # noqa: ARG002
        """Return the femur grown by 2 mm."""
        return grown_femur(sample, LEAK_MM)

    def within_limits(self, scene: Scene, parameters: Mapping[str, Tensor]) -> Tensor:  # noqa: ARG002
        """Whether no factor or shift leaves the range of human bone."""
        largest = _largest(parameters)
        return (largest["log_factor"] <= LARGEST_LOG_FACTOR) & (
            largest["shift_hu"] <= LARGEST_SHIFT_HU
        )

    def figures(
        self,
        scene: Scene,  # noqa: ARG002
        parameters: Mapping[str, Tensor],
    ) -> list[Mapping[str, float]]:
        """Return the largest factor's logarithm and the largest shift in HU."""
        largest = _largest(parameters)
        return [
            {"largest_log_factor": float(factor), "largest_shift_hu": float(shift)}
            for factor, shift in zip(largest["log_factor"], largest["shift_hu"], strict=True)
        ]


def _largest(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the largest absolute value of each parameter, ``(N,)``."""
    return {name: values.abs().amax(dim=(1, 2, 3)) for name, values in parameters.items()}
