"""Figures per slice, for a split of subjects and for the source study's split of slices.

A split of slices leaks: neighbours of a held-out slice, of the same subject, are trained on. It is
here to show what that does to figures, on purpose and under its name.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor

from qctkit.cohort import Record
from qctkit.contracts import PredictorFamily
from qctkit.errors import PredictorError
from qctkit.networks import one_thread
from qctkit.predictors.folds import subject_folds
from qctkit.predictors.metrics import figures_of
from qctkit.predictors.network import NetworkFamily, shown_slices
from qctkit.predictors.training import SeenCohort, TrainingSettings, read_singly, teachable


class Split(StrEnum):
    """What is held out together: all slices of a subject, or single slices (which leaks)."""

    SUBJECT = "subject"
    SLICE = "slice"


def slice_wise(families: Sequence[PredictorFamily]) -> tuple[NetworkFamily, ...]:
    """Return the families that read slices."""
    return tuple(one for one in families if isinstance(one, NetworkFamily) and one.slice_wise)


def slice_figures(
    families: Sequence[PredictorFamily],
    seen: SeenCohort,
    settings: TrainingSettings,
    split: Split,
    tick: Callable[[str], None],
) -> Record:
    """Return the figures per slice of every slice-wise family, ``{name: {attribute: figures}}``.

    Each fold is trained anew; ``tick`` is called once a fold.

    Raises:
        PredictorError: the split is of slices and no family reads slices.
    """
    chosen = slice_wise(families)
    if split is Split.SLICE and not chosen:
        raise PredictorError(
            "a split of slices needs a network that reads slices: name slice-network under "
            'families, or give a network encoder = "slices"'
        )
    return {one.name: _figures(one, seen, settings, split, tick) for one in chosen}


def _figures(
    family: NetworkFamily,
    seen: SeenCohort,
    settings: TrainingSettings,
    split: Split,
    tick: Callable[[str], None],
) -> Record:
    data = seen.on(family.view)
    taught, _ = teachable(seen)
    attributes = [name for name in family.attributes if name in taught]
    shown = shown_slices(data)
    readings = np.full((*shown.shape, len(attributes)), np.nan)
    for held_out in _held_out(seen, shown, settings, split):
        with one_thread(), torch.no_grad():
            with torch.enable_grad():
                module = family.fit_slices(data, attributes, settings.seed, shown & ~held_out)
            subjects = np.flatnonzero(held_out.any(dim=1)).tolist()
            read = read_singly(module.read_slices, data.take(subjects)).numpy()
        rows = held_out.numpy()
        readings[rows] = read[rows[subjects]]
        tick(family.name)
    rows = shown.numpy()
    subject, _ = np.nonzero(rows)
    groups = [seen.subjects[one].subject_id for one in subject]
    return {
        name: figures_of(
            name, data.values[name].double().numpy()[subject], readings[rows][:, column], groups
        )
        for column, name in enumerate(attributes)
    }


def _held_out(
    seen: SeenCohort, shown: Tensor, settings: TrainingSettings, split: Split
) -> list[Tensor]:
    """Return which slices ``(N, D)`` each fold holds out."""
    folds = []
    if split is Split.SUBJECT:
        for rows in subject_folds(seen.subjects, settings.folds):
            mask = torch.zeros_like(shown)
            mask[rows] = True
            folds.append(mask & shown)
        return folds
    generator = torch.Generator().manual_seed(settings.seed)
    fold = torch.randint(settings.folds, shown.shape, generator=generator)
    return [(fold == number) & shown for number in range(settings.folds)]
