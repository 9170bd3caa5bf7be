"""A small grid of one shape for all scans, so that a network can take them in batches."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from qctkit.cohort import Sample
from qctkit.errors import InputError
from qctkit.frame import FemurFrame, locate
from qctkit.geometry import Shape
from qctkit.view import View, see, spacing_of
from qctkit.volume import Mask

PART_INSIDE = 0.5
"""A grid voxel belongs to the femur when at least this part of it lies in the mask."""


class Centre(StrEnum):
    """Where the grid lies.

    ``SCAN`` uses nothing but the scan. ``FEMUR`` uses the mask, which a new scan does not have:
    it suits predictors of attributes, but would tell a segmentation network half its answer.
    """

    SCAN = "scan"
    FEMUR = "femur"


@dataclass(frozen=True)
class TrainingGrid:
    """A grid ``(D, H, W)`` along superior, anterior, medial.

    Medial instead of right lets left and right hips look alike; the side is known of any scan.

    Attributes:
        shape: number of points along superior, anterior, medial.
        spacing_mm: distance between points; the scan is low-passed first, so nothing aliases.
        centre: the middle of the scan's field of view, or the femur's own frame.

    Raises:
        InputError: a size is not positive.
    """

    shape: Shape = (40, 32, 40)
    spacing_mm: float = 4.0
    centre: Centre = Centre.SCAN

    def __post_init__(self) -> None:
        if min(self.shape) < 1 or not self.spacing_mm > 0:
            raise InputError(
                f"a grid needs positive sizes, got shape {self.shape} and {self.spacing_mm} mm"
            )

    def resample(self, sample: Sample) -> tuple[NDArray[np.float32], Mask]:
        """Return the HU and the femur mask of a sample on the grid, both ``(D, H, W)``.

        Raises:
            InputError: no part of the femur lies in the grid.
        """
        view = View(self.shape, spacing_of(self.spacing_mm))
        seen = see(sample.volume, sample.femur, self._frame(sample), view)
        mask = seen.femur >= PART_INSIDE
        if not mask.any():
            raise InputError(
                f"the femur of {sample.sample_id} lies outside a grid of {self.shape} points, "
                f"{self.spacing_mm:g} mm apart, centred on the {self.centre}; use a larger grid, "
                "or crop the scan to one hip"
            )
        return seen.hu, mask

    def _frame(self, sample: Sample) -> FemurFrame:
        geometry = sample.volume.geometry
        if self.centre is Centre.FEMUR:
            return locate(sample.femur, geometry)
        x, y, z = geometry.to_world((np.asarray(geometry.shape) - 1) / 2)
        return FemurFrame((float(x), float(y), float(z)), sample.femur.side)
