"""What a recipe learns of the whole cohort before it makes candidates: its atlas, its measures."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qctkit.contracts import Edit, Recipe
from qctkit.engine.atlas import Atlas
from qctkit.engine.effects import FEWEST, Array
from qctkit.engine.loop import Aim
from qctkit.errors import InputError
from qctkit.frame import locate
from qctkit.pipeline.atlas_amplitude import at_full_size, measure_effects, measures
from qctkit.predictors.spread import FeatureReader
from qctkit.predictors.trained import TrainedPredictor
from qctkit.predictors.training import as_tensor
from qctkit.progress import Progress
from qctkit.store.reader import CohortFile
from qctkit.subject import ATTRIBUTES
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
        images: Tensor,
        changes: Array,
        left_out: Sequence[Collection[int]],
    ) -> list[Aim]:
        """Return what each driver should come to measure of sources ``(N, 2, D, H, W)``.

        A measure should move by what the cohort says of the change ``(N, A)`` asked of each
        source, its own subject left out; its aim is weighed by its spread among equals.
        """
        aims = []
        for driver in drivers:
            if isinstance(driver.module, FeatureReader):
                module, measured = driver.module, self.measured[driver.name]
                now = measures(module, images)
                moves = [
                    self._moves(module, measured, *asked)
                    for asked in zip(changes, left_out, strict=True)
                ]
                spread = self.atlas.design.residual_sd(measured)
                aims.append(
                    Aim(
                        module.measure,
                        torch.from_numpy(now + np.stack(moves)).float(),
                        torch.from_numpy(spread).float(),
                    )
                )
        return aims

    def _moves(
        self, module: FeatureReader, measured: Array, change: Array, left_out: Collection[int]
    ) -> Array:
        design = self.atlas.design.without(left_out)
        moves: Array = change @ measure_effects(design, module, measured)
        return moves


def learn(
    cohort: CohortFile,
    recipe: Recipe,
    edit: Edit,
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
    known = ~np.isnan(np.stack(list(attributes.values()))).any(axis=0)
    if known.sum() < FEWEST:
        raise InputError(
            f"{recipe.name} regresses shape and density on the attributes of at least {FEWEST} "
            f"subjects, and {int(known.sum())} of {cohort.path} have all of theirs known; add "
            "subjects, or choose a recipe without an atlas such as voxel-baseline"
        )
    with progress.task("registering subjects to their atlas", 1) as task:
        atlas = Atlas.learn(images, attributes, view)
        task.advance(f"{len(images)} subjects")
    modules = {one.name: one.module for one in drivers if isinstance(one.module, FeatureReader)}
    measured = {name: measures(module, images) for name, module in modules.items()}
    pairs = [(modules[name], measured[name]) for name in modules]
    atlas = at_full_size(atlas, edit, images, pairs)
    rows: dict[str, tuple[int, ...]] = {}
    for row, sample_id in enumerate(cohort.sample_ids):
        subject_id = cohort.subject(sample_id).subject_id
        rows[subject_id] = (*rows.get(subject_id, ()), row)
    return Learned(atlas, rows, measured)


def _seen(cohort: CohortFile, view: View, progress: Progress) -> tuple[Tensor, dict[str, Array]]:
    """Return all samples on the view, ``(N, 2, D, H, W)``, and their attributes that vary."""
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
        for name in ATTRIBUTES
    }
    known = {name: column for name, column in attributes.items() if not np.isnan(column).all()}
    return torch.stack(images), known
