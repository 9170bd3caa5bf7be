"""Training every predictor family on a cohort, with subjects held out to learn what it is worth."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from qctkit.cohort import Record, Sample
from qctkit.contracts import PredictorFamily, TrainingData
from qctkit.errors import PredictorError
from qctkit.frame import locate
from qctkit.predictors.folds import subject_folds
from qctkit.predictors.skill import Skill, skill_of
from qctkit.predictors.trained import PredictorSet, TrainedPredictor
from qctkit.subject import ATTRIBUTES, Subject
from qctkit.view import View, ViewImage, see

FEWEST_OF_A_CLASS = 2
"""A class with one subject cannot be both learned and held out."""

LEAST_SPREAD = 1e-3


@dataclass(frozen=True)
class TrainingSettings:
    """How predictors are trained: cross-validation folds and the seed of every draw."""

    folds: int = 5
    seed: int = 0


@dataclass(frozen=True, eq=False)
class SeenCohort:
    """A cohort as predictors see it: ids, subjects and views, in order."""

    sample_ids: tuple[str, ...]
    subjects: tuple[Subject, ...]
    data: TrainingData


def see_cohort(samples: Iterable[Sample], view: View) -> SeenCohort:
    """Return the views and attributes of samples, holding one volume in memory at a time."""
    ids, subjects, images = [], [], []
    for sample in samples:
        ids.append(sample.sample_id)
        subjects.append(sample.subject)
        frame = locate(sample.femur, sample.volume.geometry)
        images.append(as_tensor(see(sample.volume, sample.femur, frame, view)))
    values = {
        name: torch.tensor([_number(one.value(name)) for one in subjects], dtype=torch.float32)
        for name in ATTRIBUTES
    }
    data = TrainingData(torch.stack(images), values, view)
    return SeenCohort(tuple(ids), tuple(subjects), data)


def as_tensor(image: ViewImage) -> Tensor:
    """Return a view as the ``(2, D, H, W)`` float32 tensor that predictors take."""
    return torch.from_numpy(np.stack([image.hu, image.femur]).astype(np.float32))


def teachable(data: TrainingData) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the attributes that the cohort can teach, and why it cannot teach the others."""
    taught, skipped = [], {}
    for name, attribute in ATTRIBUTES.items():
        values = data.values[name]
        values = values[~values.isnan()]
        if attribute.kind == "binary":
            fewest = int(min((values > 0.5).sum(), (values <= 0.5).sum()))
            if fewest < FEWEST_OF_A_CLASS:
                skipped[name] = f"one class has {fewest} subjects, {FEWEST_OF_A_CLASS} are needed"
                continue
        elif len(values) < 2 or float(values.std()) < LEAST_SPREAD:
            skipped[name] = f"{len(values)} known values, with no spread"
            continue
        taught.append(name)
    return tuple(taught), skipped


def training_ticks(families: Sequence[PredictorFamily], settings: TrainingSettings) -> int:
    """Return how often ``train_predictors`` will call ``tick`` at most."""
    return sum(family.ticks() for family in families) * (settings.folds + 1)


def train_predictors(
    seen: SeenCohort,
    families: Sequence[PredictorFamily],
    settings: TrainingSettings,
    training: Record,
    tick: Callable[[str], None],
) -> PredictorSet:
    """Return every family trained on all subjects, with its skill on held-out ones.

    Raises:
        PredictorError: there are too few subjects, or no attribute can be taught.
    """
    taught, skipped = teachable(seen.data)
    if not taught:
        reasons = "; ".join(f"{name}: {why}" for name, why in skipped.items())
        raise PredictorError(f"the cohort teaches no attribute ({reasons})")
    folds = subject_folds(seen.subjects, settings.folds)
    trained = []
    for family in families:
        attributes = tuple(name for name in family.attributes if name in taught)
        if attributes:
            trained.append(_train_one(family, attributes, seen, folds, settings.seed, tick))
    return PredictorSet(tuple(trained), skipped, training)


def _train_one(
    family: PredictorFamily,
    attributes: tuple[str, ...],
    seen: SeenCohort,
    folds: Sequence[Sequence[int]],
    seed: int,
    tick: Callable[[str], None],
) -> TrainedPredictor:
    readings = np.full((len(seen.subjects), len(attributes)), np.nan)
    for number, held_out in enumerate(folds, start=1):
        label = f"{family.name}, fold {number} of {len(folds)}"
        kept = [row for row in range(len(seen.subjects)) if row not in set(held_out)]
        module = family.fit(seen.data.take(kept), attributes, seed, partial(tick, label))
        with torch.no_grad():
            readings[held_out] = module(seen.data.images[list(held_out)]).numpy()
    final = family.fit(seen.data, attributes, seed, partial(tick, f"{family.name}, all subjects"))
    return TrainedPredictor(
        name=family.name,
        family=family.name,
        role=family.role,
        attributes=attributes,
        view=seen.data.view,
        module=final,
        skills={
            name: _skill(name, seen, readings[:, column]) for column, name in enumerate(attributes)
        },
        held_out={
            sample_id: dict(zip(attributes, map(float, row), strict=True))
            for sample_id, row in zip(seen.sample_ids, readings, strict=True)
        },
    )


def _skill(name: str, seen: SeenCohort, readings: np.ndarray) -> Skill:
    groups = [subject.subject_id for subject in seen.subjects]
    return skill_of(ATTRIBUTES[name].kind, seen.data.values[name].numpy(), readings, groups)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
