"""The start and the aims of a batch: from where the loop sets out, and what it should reach."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from qctkit.engine.edits.composition import from_atlas
from qctkit.engine.effects import Array
from qctkit.engine.loop import Aim
from qctkit.pipeline.augment_cohort import Learned
from qctkit.pipeline.augment_plan import Plan, aims_at_measures
from qctkit.pipeline.augment_work import Work
from qctkit.pipeline.carry import reads
from qctkit.pipeline.graph_aims import by_graph
from qctkit.predictors.trained import TrainedPredictor

DENSITY_ERROR_HU = 10.0
"""Error that counts as one unit when a mean density is the aim: below a scan's repeatability."""


def batch_start(plan: Plan, batch: Sequence[Work], images: Tensor) -> dict[str, Tensor]:
    """Return the parameters from which the loop sets out: the atlas's, or none."""
    start = plan.edit.start(len(batch), plan.view)
    if plan.learned is None or not plan.driven:
        return start
    found = plan.learned.atlas.starts(
        images, _changes(plan.learned, batch), _own(plan.learned, batch)
    )
    return start | from_atlas(plan.edit, found)


def batch_aims(plan: Plan, batch: Sequence[Work], images: Tensor) -> list[Aim]:
    """Return what each driver should come to read, or a mean density where nothing is driven."""
    if not plan.driven:
        wanted = _mean_density_hu(*images.unbind(dim=1))
        wanted = wanted + torch.tensor([[one.density_change_hu] for one in batch])
        return [Aim(_mean_density_hu, wanted, torch.tensor([DENSITY_ERROR_HU]))]
    if plan.learned is not None and aims_at_measures(plan.recipe):
        learned = plan.learned
        asked = _changes(learned, batch), _own(learned, batch)
        return learned.aims(plan.drivers, plan.graphs, images, *asked)
    return [
        aim for one in plan.drivers if (aim := _reading_aim(plan, one, batch, images)) is not None
    ]


def _reading_aim(
    plan: Plan, driver: TrainedPredictor, batch: Sequence[Work], images: Tensor
) -> Aim | None:
    """Return what a driver should come to read of the attributes that are driven."""
    columns = [
        (column, driver.skills[name].response, name)
        for column, name in enumerate(driver.attributes)
        if name in plan.driven and reads(driver, name)
    ]
    if not columns:
        return None
    rows = [column for column, _, _ in columns]
    module = driver.driving
    with torch.no_grad():
        before = module(images)[:, rows]
    changes = [
        [response.expected_change(work.change_asked(name)) for _, response, name in columns]
        for work in batch
    ]
    errors = torch.tensor([response.residual_sd for _, response, _ in columns])
    sides = torch.tensor([[work.side(name) for _, _, name in columns] for work in batch])
    wanted = before + torch.tensor(changes)

    def read(hu: Tensor, femur: Tensor) -> Tensor:
        found: Tensor = module(torch.stack([hu, femur], dim=1))
        return found[:, rows]

    return by_graph(Aim(read, wanted, errors, sides), plan.graphs.get(driver.name), rows)


def _changes(learned: Learned, batch: Sequence[Work]) -> Array:
    """Return the change asked of each source, ``(N, A)``, on the scale of the atlas."""
    design = learned.atlas.design
    return np.stack([design.change(*work.attributes(design.names)) for work in batch])


def _own(learned: Learned, batch: Sequence[Work]) -> list[tuple[int, ...]]:
    """Return the places in the atlas of each source's own subject."""
    return [learned.rows.get(work.subject.subject_id, ()) for work in batch]


def _mean_density_hu(hu: Tensor, femur: Tensor) -> Tensor:
    """Return the mean HU over the femur's share of each voxel, ``(N, 1)``."""
    mean: Tensor = (hu * femur).sum(dim=(1, 2, 3)) / femur.sum(dim=(1, 2, 3))
    return mean[:, None]
