"""What a recipe learns of the whole cohort before it makes candidates: its atlas, its measures."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qctkit.contracts import Recipe
from qctkit.engine.atlas import Atlas
from qctkit.engine.effects import FEWEST, Array
from qctkit.engine.loop import Aim
from qctkit.errors import InputError
from qctkit.frame import locate
from qctkit.gradients import GradientSource
from qctkit.networks import one_thread
from qctkit.pipeline.graph_aims import by_graph
from qctkit.predictors.driving import measuring
from qctkit.predictors.spread import FeatureReader
from qctkit.predictors.trained import TrainedPredictor
from qctkit.predictors.training import as_tensor
from qctkit.progress import Progress
from qctkit.store.reader import CohortFile
from qctkit.subject import common_attributes
from qctkit.view import View, see


@dataclass(frozen=True, eq=False)
class Learned:
    """A cohort's atlas, and what the drivers measure of its subjects.

    Attributes:
        rows: the places of each subject's samples in the atlas, by subject id.
        measured: ``(N, F)`` by the name of a driver that reads from measures.
    """

    atlas: Atlas
    rows: Mapping[str, tuple[int, ...]]
    measured: Mapping[str, Array]

    def aims(
        self,
        drivers: Sequence[TrainedPredictor],
        graphs: Mapping[str, GradientSource],
        images: Tensor,
        changes: Array,
        left_out: Sequence[Collection[int]],
    ) -> list[Aim]:
        """Return what each driver should come to measure of sources ``(N, 2, D, H, W)``.

        A measure should move by what the cohort says of the change ``(N, A)`` asked of each
        source, its own subject left out; its aim is weighed by its spread among equals. A driver
        with a graph of its measures has them and their gradient from there.
        """
        aims = []
        for driver in drivers:
            if isinstance(driver.module, FeatureReader):
                module, measured = driver.module, self.measured[driver.name]
                now = torch.from_numpy(_measured(module, images)).float()
                moves = [
                    self._moves(module, measured, *asked)
                    for asked in zip(changes, left_out, strict=True)
                ]
                spread = self.atlas.design.residual_sd(measured)
                aim = Aim(
                    measuring(module),
                    now + torch.from_numpy(np.stack(moves)).float(),
                    torch.from_numpy(spread).float(),
                )
                aims.append(by_graph(aim, graphs.get(driver.name), range(measured.shape[1])))
        return aims

    def _moves(
        self, module: FeatureReader, measured: Array, change: Array, left_out: Collection[int]
    ) -> Array:
        design = self.atlas.design.without(left_out)
        effects = design.effects(measured)
        shape = list(module.shape_columns)
        effects[:, shape] = design.bone_shape_effects(measured[:, shape])
        moves: Array = change @ effects
        return moves


def learn(
    cohort: CohortFile,
    recipe: Recipe,
    drivers: Sequence[TrainedPredictor],
    view: View,
    progress: Progress,
) -> Learned | None:
    """Return what a recipe needs to know of the cohort, None where it starts from nothing.

    Raises:
        InputError: too few subjects have all their attributes known.
    """
    if not recipe.from_atlas:
        return None
    images, attributes = _seen(cohort, view, progress)
    rows = _rows_by_subject(cohort)
    known = np.asarray(~np.isnan(np.stack(list(attributes.values()))).any(axis=0))
    complete = sum(bool(known[list(own)].any()) for own in rows.values())
    if complete < FEWEST:
        raise InputError(
            f"{recipe.name} regresses shape and density on the attributes of at least {FEWEST} "
            f"subjects, and {complete} of {cohort.path} have all of theirs known; add subjects, or "
            "choose a recipe without an atlas such as voxel-baseline"
        )
    with progress.task("registering subjects to their atlas", 1) as task, one_thread():
        atlas = Atlas.learn(images, attributes, view)
        measured = {
            one.name: _measured(one.module, images)
            for one in drivers
            if isinstance(one.module, FeatureReader)
        }
        task.advance(f"{len(rows)} subjects")
    return Learned(atlas, rows, measured)


def _measured(reader: FeatureReader, images: Tensor) -> Array:
    """Return the measures ``(N, F)`` of images, one at a time."""
    with torch.no_grad():
        found = torch.cat([reader.measure(image[None]) for image in images])
    return np.asarray(found.double().numpy())


def _rows_by_subject(cohort: CohortFile) -> dict[str, tuple[int, ...]]:
    """Return the places of each subject's samples in a cohort: two hips are two."""
    rows: dict[str, tuple[int, ...]] = {}
    for row, sample_id in enumerate(cohort.sample_ids):
        subject_id = cohort.subject(sample_id).subject_id
        rows[subject_id] = (*rows.get(subject_id, ()), row)
    return rows


def _seen(cohort: CohortFile, view: View, progress: Progress) -> tuple[Tensor, dict[str, Array]]:
    """Return all samples on the view, ``(N, 2, D, H, W)``, and attributes that any has."""
    images, subjects = [], []
    with progress.task("viewing subjects", len(cohort)) as task:
        for sample in cohort:
            frame = locate(sample.femur, sample.volume.geometry)
            images.append(as_tensor(see(sample.volume, sample.femur, frame, view)))
            subjects.append(sample.subject)
            task.advance(sample.sample_id)
    attributes = {
        name: np.array(
            [np.nan if one.value(name) is None else one.value(name) for one in subjects],
            dtype=float,
        )
        for name in common_attributes(subjects)
    }
    known = {name: column for name, column in attributes.items() if not np.isnan(column).all()}
    return torch.stack(images), known
