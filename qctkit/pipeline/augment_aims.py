"""The aims of a batch: what each predictor in the loop should come to read."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from qctkit.engine.loop import Aim
from qctkit.pipeline.augment_plan import Plan
from qctkit.pipeline.augment_work import Work
from qctkit.pipeline.carry import reads
from qctkit.predictors.trained import TrainedPredictor

DENSITY_ERROR_HU = 10.0
"""Error that counts as one unit when a mean density is the aim: below a scan's repeatability."""


def batch_aims(plan: Plan, batch: Sequence[Work], images: Tensor) -> list[Aim]:
    """Return what each driver should come to read, or a mean density where nothing is driven."""
    if not plan.driven:
        wanted = _mean_density_hu(images) + torch.tensor([one.density_change_hu for one in batch])
        return [Aim(_mean_density_hu, wanted, DENSITY_ERROR_HU)]
    aims = []
    for driver in plan.drivers:
        with torch.no_grad():
            before = driver(images)
        for column, name in enumerate(driver.attributes):
            if name in plan.driven and reads(driver, name):
                response = driver.skills[name].response
                changes = [response.expected_change(work.change_asked(name)) for work in batch]
                wanted = before[:, column] + torch.tensor(changes)
                aims.append(Aim(partial(_column, driver, column), wanted, response.residual_sd))
    return aims


def _column(driver: TrainedPredictor, column: int, images: Tensor) -> Tensor:
    return driver(images)[:, column]


def _mean_density_hu(images: Tensor) -> Tensor:
    """Return the mean HU over the femur's share of each voxel, ``(N,)``."""
    hu, femur = images[:, 0], images[:, 1]
    return (hu * femur).sum(dim=(1, 2, 3)) / femur.sum(dim=(1, 2, 3))
