"""Training every predictor family on a cohort, with subjects held out to learn what it is worth."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from qctkit.cohort import Record, Sample
from qctkit.contracts import Checkpoint, PredictorFamily, Role, TrainingData
from qctkit.errors import PredictorError
from qctkit.frame import locate
from qctkit.geometry import Shape, Triple
from qctkit.networks import one_thread
from qctkit.predictors.configuration import configuration_of
from qctkit.predictors.fit_store import Fit, FitStore
from qctkit.predictors.folds import subject_folds
from qctkit.predictors.network import Ensemble
from qctkit.predictors.skill import Skill, joint_response, skill_of
from qctkit.predictors.spread import (
    FeatureReader,
    Spread,
    continuous,
    held_out_spreads,
    honest_factor,
    leverages,
    measured,
    variance_shape,
)
from qctkit.predictors.temperature import honest_temperature
from qctkit.predictors.trained import Fold, PredictorSet, TrainedPredictor
from qctkit.predictors.view_file import ViewFile
from qctkit.processes import in_processes
from qctkit.subject import ATTRIBUTES, Subject, attributes_of, common_attributes
from qctkit.view import View, ViewImage, see
from qctkit.window import Window

FEWEST_OF_A_CLASS = 2
"""A class with one subject cannot be both learned and held out."""

LEAST_SPREAD = 1e-3


@dataclass(frozen=True)
class TrainingSettings:
    """How predictors are trained.

    Attributes:
        folds: of the cross-validation over subjects.
        seed: of every draw.
        workers: processes that fit at the same time; the result does not depend on it. More than
            one starts new interpreters, so a script must guard its main part as usual.
    """

    folds: int = 5
    seed: int = 0
    workers: int = 1


@dataclass(frozen=True, eq=False)
class SeenCohort:
    """A cohort as predictors see it: ids, subjects and their views, in order.

    Attributes:
        views: the same subjects on each grid that a predictor asked for.
    """

    sample_ids: tuple[str, ...]
    subjects: tuple[Subject, ...]
    views: tuple[TrainingData, ...]

    @property
    def data(self) -> TrainingData:
        """The subjects on the first grid."""
        return self.views[0]

    def on(self, view: View) -> TrainingData:
        """Return the subjects on the grid of a view, in the cohort's own window.

        Raises:
            PredictorError: the cohort was not seen on this grid.
        """
        for data in self.views:
            if _grid(data.view) == _grid(view):
                return data
        raise PredictorError(f"the cohort was not seen on a grid of {view.shape} points")


def see_cohort(samples: Iterable[Sample], folder: Path, *views: View) -> SeenCohort:
    """Return the views and attributes of samples, holding one volume in memory at a time.

    The views lie in files in the folder, which must last as long as what is returned.
    """
    ids, subjects = [], []
    files = [ViewFile(folder / f"view-{one}.f16", view.shape) for one, view in enumerate(views)]
    for sample in samples:
        ids.append(sample.sample_id)
        subjects.append(sample.subject)
        frame = locate(sample.femur, sample.volume.geometry)
        for view, file in zip(views, files, strict=True):
            file.append(see(sample.volume, sample.femur, frame, view))
    values = {
        name: torch.tensor([_number(one.value(name)) for one in subjects], dtype=torch.float32)
        for name in attributes_of(subjects)
    }
    names = tuple(one.subject_id for one in subjects)
    data = tuple(
        TrainingData(file, values, view, names) for view, file in zip(views, files, strict=True)
    )
    return SeenCohort(tuple(ids), tuple(subjects), data)


def views_of(families: Sequence[PredictorFamily], window: Window) -> tuple[View, ...]:
    """Return the grids that families see, each once, in a cohort's window."""
    return tuple(dict.fromkeys(replace(family.view, window=window) for family in families))


def _grid(view: View) -> tuple[Shape, Triple]:
    return view.shape, view.spacing_mm


def as_tensor(image: ViewImage) -> Tensor:
    """Return a view as the ``(2, D, H, W)`` float32 tensor that predictors take."""
    return torch.from_numpy(np.stack([image.hu, image.femur]).astype(np.float32))


def read_singly(read: Callable[[Tensor], Tensor], data: TrainingData) -> Tensor:
    """Return readings of images read one by one: slices of 512 x 512 fill memory otherwise."""
    return torch.cat([read(one) for one in data.singly()])


def teachable(seen: SeenCohort) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the attributes that the cohort can teach, and why it cannot teach the others."""
    taught, skipped = [], {}
    for name in seen.data.values:
        values = [one.value(name) for one in _one_scan_each(seen.subjects)]
        known = [value for value in values if value is not None]
        if ATTRIBUTES[name].kind == "binary":
            fewest = min(known.count(0.0), known.count(1.0))
            if fewest < FEWEST_OF_A_CLASS:
                skipped[name] = f"one class has {fewest} subjects, {FEWEST_OF_A_CLASS} are needed"
                continue
        elif len(known) < 2 or float(np.std(known)) < LEAST_SPREAD:
            skipped[name] = f"{len(known)} known values, with no spread"
            continue
        taught.append(name)
    return tuple(taught), skipped


def _one_scan_each(subjects: Sequence[Subject]) -> list[Subject]:
    """Return each subject once: two hips of one person are held out together."""
    return list({one.subject_id: one for one in subjects}.values())


def fits(families: Sequence[PredictorFamily], settings: TrainingSettings) -> int:
    """Return how many fits ``train_predictors`` makes at most, one ``tick`` each."""
    return len(families) * (settings.folds + 1)


def train_predictors(
    seen: SeenCohort,
    families: Sequence[PredictorFamily],
    settings: TrainingSettings,
    training: Record,
    tick: Callable[[str], None],
    store: FitStore | None = None,
    failed: Mapping[str, Callable[[str], None]] | None = None,
) -> PredictorSet:
    """Return every family trained on all subjects, with its skill on held-out ones.

    Fits that ``store`` holds already are not made again.

    Args:
        seen: the subjects.
        families: what to train.
        settings: folds, seed, workers.
        training: what is recorded of the training.
        tick: told of every fit.
        store: where fits are kept.
        failed: by name, the families that may fail, as those of plugins, and what is told in words
            of the first failure; they are left out, and the others are trained. Any other family's
            error ends the training.

    Raises:
        PredictorError: there are too few subjects, no attribute can be taught, or every family
            failed.
    """
    failed = failed or {}
    taught, skipped = teachable(seen)
    if not taught:
        reasons = "; ".join(f"{name}: {why}" for name, why in skipped.items())
        raise PredictorError(f"the cohort teaches no attribute ({reasons})")
    everyone = list(range(len(seen.subjects)))
    folds = subject_folds(seen.subjects, settings.folds)
    jobs: list[_Job] = []
    for family in families:
        attributes = tuple(name for name in family.attributes if name in taught)
        for held_out in [*folds, []] if attributes else []:
            kept = [row for row in everyone if row not in set(held_out)]
            number, data = len(jobs), seen.on(family.view)
            may_fail = family.name in failed
            jobs.append(
                _Job(number, family, attributes, kept, held_out, data, settings.seed, may_fail)
            )
    done = _run(jobs, settings.workers, tick, store)
    trained = []
    for first in range(0, len(jobs), len(folds) + 1):
        own, results = jobs[first : first + len(folds) + 1], done[first : first + len(folds) + 1]
        one = _trained_or_failed(own, results, seen)
        if isinstance(one, FailedFit):
            failed[own[0].family.name](one.words)
        else:
            trained.append(one)
    if jobs and not trained:
        raise PredictorError("no predictor could be trained; see above")
    return PredictorSet(tuple(trained), skipped, training)


@dataclass(frozen=True, eq=False)
class _Job:
    """One fit: a family on some subjects, read on those held out. Picklable, for workers."""

    number: int
    family: PredictorFamily
    attributes: tuple[str, ...]
    kept: Sequence[int]
    held_out: Sequence[int]
    data: TrainingData
    seed: int
    may_fail: bool = False
    checkpoint: Checkpoint | None = None

    @property
    def words(self) -> str:
        """What is fitted to whom."""
        unseen = f", {len(self.held_out)} held out" if self.held_out else ""
        return f"fit of {', '.join(self.attributes)} to {len(self.kept)} samples{unseen}"


@dataclass(frozen=True)
class FailedFit:
    """A fit that a family's own error ended, in words: what was fitted, and the error."""

    words: str


def _run(
    jobs: Sequence[_Job], workers: int, tick: Callable[[str], None], store: FitStore | None
) -> list[Fit | FailedFit]:
    """Run the jobs, in processes of one thread each, and return their results in jobs' order."""
    done: dict[int, Fit | FailedFit] = {}
    if store is not None:
        found = ((number, store.load(number)) for number in range(len(jobs)))
        done = {number: fit for number, fit in found if fit is not None}
    for number in done:
        tick(f"{jobs[number].family.name}, kept from before")
    missing = [job for job in jobs if job.number not in done]
    if store is not None:
        missing = [replace(job, checkpoint=store.checkpoint(job.number)) for job in missing]
    for job, fit in in_processes(_fit_or_failed, missing, workers):
        done[job.number] = fit
        if isinstance(fit, FailedFit):
            tick(f"{job.family.name} failed")
            continue
        if store is not None:
            store.keep(job.number, fit)
        tick(_told(job, fit))
    return [done[job.number] for job in jobs]


def _told(job: _Job, fit: Fit) -> str:
    """Return a family's name with its error on the subjects just held out."""
    words = []
    for column, name in enumerate(job.attributes if job.held_out else ()):
        true = job.data.values[name][list(job.held_out)].numpy()
        known, read = ~np.isnan(true), fit.readings[:, column]
        if not known.any():
            continue
        if ATTRIBUTES[name].kind == "binary":
            right = ((read > 0) == (true > 0.5))[known].mean()
            words.append(f"{name} {right:.0%}")
        else:
            words.append(f"{name} off by {np.abs(read - true)[known].mean():.1f}")
    return f"{job.family.name} {', '.join(words)}".strip()


def _fit_or_failed(job: _Job) -> Fit | FailedFit:
    # In words, since an error of a plugin's own kind may not pass from process to process.
    try:
        return _fit(job)
    except Exception as error:
        if not job.may_fail:
            raise
        return FailedFit(f"{job.words}: {_in_words(error)}")


def _trained_or_failed(
    jobs: Sequence[_Job], fits: Sequence[Fit | FailedFit], seen: SeenCohort
) -> TrainedPredictor | FailedFit:
    """Return a family's predictor from the fits of its folds and, last, that to everyone."""
    done = [fit for fit in fits if isinstance(fit, Fit)]
    if len(done) < len(fits):
        return next(fit for fit in fits if isinstance(fit, FailedFit))
    *folds, last = jobs
    try:
        return _trained(last, done[:-1], done[-1], folds, seen)
    except Exception as error:
        if not last.may_fail:
            raise
        return FailedFit(f"build and reading after {last.words}: {_in_words(error)}")


def _in_words(error: Exception) -> str:
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0]}" if said else type(error).__name__


def _fit(job: _Job) -> Fit:
    with one_thread():
        module = _module(job)
        readings, far = np.empty((0, len(job.attributes))), np.empty(0)
        if job.held_out:
            with torch.no_grad():
                read = read_singly(module, job.data.take(job.held_out))
            readings = read.double().numpy()
            far = leverages(module, job.data, job.kept, job.held_out)
        curves = [np.array(one) for one in module.curves] if isinstance(module, Ensemble) else []
        return Fit(dict(module.state_dict()), readings, far, curves)


def _module(job: _Job) -> nn.Module:
    held_out = job.data.take(job.held_out) if job.held_out else None
    offered = {"checkpoint": job.checkpoint, "held_out": held_out}
    fit: Callable[..., nn.Module] = job.family.fit
    named = inspect.signature(fit).parameters
    taken = {name: value for name, value in offered.items() if name in named}
    return fit(job.data.take(job.kept), job.attributes, job.seed, **taken)


def _trained(
    job: _Job, fold_fits: Sequence[Fit], final: Fit, fold_jobs: Sequence[_Job], seen: SeenCohort
) -> TrainedPredictor:
    readings = np.full((len(seen.subjects), len(job.attributes)), np.nan)
    far = np.zeros(len(seen.subjects))
    for fold_job, fit in zip(fold_jobs, fold_fits, strict=True):
        readings[list(fold_job.held_out)] = fit.readings
        far[list(fold_job.held_out)] = fit.leverages
    module = job.family.build(job.attributes, job.data.view)
    module.load_state_dict(final.weights)
    if isinstance(module, Ensemble):
        _calibrate(module, job.attributes, readings, seen)
    spread, spreads = _spread(module, job, readings, far, seen)
    is_driver = job.family.role is Role.LOOP
    folds = zip(fold_jobs, fold_fits, strict=True) if is_driver else ()
    return TrainedPredictor(
        name=job.family.name,
        family=job.family.name,
        configuration=configuration_of(job.family),
        role=job.family.role,
        attributes=job.attributes,
        view=job.data.view,
        module=module,
        skills={
            name: _skill(name, seen, readings[:, column])
            for column, name in enumerate(job.attributes)
        },
        held_out={
            sample_id: dict(zip(job.attributes, map(float, row), strict=True))
            for sample_id, row in zip(seen.sample_ids, readings, strict=True)
        },
        curves=[curve.tolist() for fit in fold_fits for curve in fit.curves],
        spread=spread,
        held_out_spreads=spreads,
        folds=tuple(_fold(fold_job, fit, module, seen) for fold_job, fit in folds),
    )


def _fold(job: _Job, fit: Fit, final: nn.Module, seen: SeenCohort) -> Fold:
    """Return what a fold fitted, with the probabilities of the final module."""
    module = job.family.build(job.attributes, job.data.view)
    module.load_state_dict(fit.weights)
    if isinstance(module, Ensemble) and isinstance(final, Ensemble):
        module.temperature.copy_(final.temperature)
    left_out = frozenset(seen.subjects[row].subject_id for row in job.held_out)
    return Fold(left_out, module)


def _calibrate(
    module: Ensemble, attributes: Sequence[str], readings: np.ndarray, seen: SeenCohort
) -> None:
    """Make a network's probabilities honest, by its held-out logits, which are divided too."""
    for column, name in enumerate(attributes):
        if ATTRIBUTES[name].kind == "binary":
            true = seen.data.values[name].double().numpy()
            temperature = honest_temperature(readings[:, column], true)
            module.temperature[column] = temperature
            readings[:, column] /= temperature


def _spread(
    module: nn.Module, job: _Job, readings: np.ndarray, far: np.ndarray, seen: SeenCohort
) -> tuple[Spread | None, dict[str, list[float]]]:
    """Return the spread of a predictor, and that of each held-out subject by the others' errors."""
    if not continuous(job.attributes):
        return None, {}
    features = measured(module, job.data) if isinstance(module, FeatureReader) else None
    spread = Spread(job.attributes, 0 if features is None else features.shape[1])
    if spread.leverage is not None and features is not None:
        spread.leverage.learn(features)
    groups = [subject.subject_id for subject in seen.subjects]
    spreads = {}
    for number, name in enumerate(continuous(job.attributes)):
        true = job.data.values[name].double().numpy()
        read = readings[:, job.attributes.index(name)]
        shape = variance_shape(name, read, far)
        spread.factors[number] = honest_factor(true, read, shape)
        spreads[name] = held_out_spreads(true, read, shape, groups).tolist()
    return spread.eval(), spreads


def _skill(name: str, seen: SeenCohort, readings: np.ndarray) -> Skill:
    groups = [subject.subject_id for subject in seen.subjects]
    values = {one: column.numpy() for one, column in seen.data.values.items()}
    skill = skill_of(ATTRIBUTES[name].kind, values[name], readings, groups)
    common = {one: values[one] for one in common_attributes(seen.subjects)}
    return replace(skill, joint=joint_response(readings, common))


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
