"""``qctkit train``: predictors of a cohort, with what each is worth on unseen subjects."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qctkit.cohort import Record, Sample
from qctkit.contracts import PredictorFamily
from qctkit.errors import PredictorError
from qctkit.pipeline.versions import versions
from qctkit.predictors.fit_store import FitStore
from qctkit.predictors.folds import subject_folds
from qctkit.predictors.mean_predictor import mean_figures, mean_readings
from qctkit.predictors.metrics import figures_of, spread_figures
from qctkit.predictors.slice_split import Split, slice_figures, slice_wise
from qctkit.predictors.trained import PredictorSet, TrainedPredictor
from qctkit.predictors.training import (
    SeenCohort,
    TrainingSettings,
    fits,
    see_cohort,
    train_predictors,
    views_of,
)
from qctkit.progress import Progress, Task
from qctkit.registry import Registry
from qctkit.store.folder import ReplacedFolder
from qctkit.store.reader import CohortFile
from qctkit.subject import Origin

METRICS = "metrics.json"
HELD_OUT = "held_out.json"
PAGE = "report.html"


def train(
    cohort: CohortFile,
    families: Sequence[PredictorFamily],
    settings: TrainingSettings,
    progress: Progress,
) -> PredictorSet:
    """Return predictors trained on a cohort of real or simulated subjects.

    Raises:
        PredictorError: the cohort is too small, teaches nothing, or holds made samples.
    """
    predictors, _ = train_and_measure(cohort, families, settings, progress)
    return predictors


def train_and_measure(
    cohort: CohortFile,
    families: Sequence[PredictorFamily],
    settings: TrainingSettings,
    progress: Progress,
    fits_folder: Path | None = None,
    *,
    views_folder: Path | None = None,
    resume: bool = False,
    also_leaking: Sequence[PredictorFamily] = (),
    registry: Registry | None = None,
) -> tuple[PredictorSet, Record]:
    """Return trained predictors and their figures on held-out subjects.

    A plugin's predictor that fails is told of, counted as a failure and left out.

    Args:
        cohort: real or simulated subjects.
        families: what to train.
        settings: folds, seed, workers.
        progress: where the work is shown.
        fits_folder: where fits, finished or not, are kept until all are done; None keeps none.
        views_folder: where views lie meanwhile, four bytes a point; None puts them where the
            system keeps temporary files.
        resume: use the fits that are there from a run that was killed.
        also_leaking: families whose figures per slice are measured for both splits, side by side;
            they are trained for that alone.
        registry: knows which families are a plugin's; None takes every failure for our own.

    Raises:
        PredictorError: as ``train``, the kept fits are of another training, or a family came
            trained on this very cohort.
    """
    _warn_of_trained_elsewhere(cohort, families, progress)
    with _passing(views_folder) as folder:
        seen = _see(cohort, [*families, *also_leaking], folder, progress)
        return _train_and_measure(
            cohort, seen, families, settings, progress, fits_folder,
            resume=resume, also_leaking=also_leaking, registry=registry,
        )  # fmt: skip


def _train_and_measure(
    cohort: CohortFile,
    seen: SeenCohort,
    families: Sequence[PredictorFamily],
    settings: TrainingSettings,
    progress: Progress,
    fits_folder: Path | None,
    *,
    resume: bool,
    also_leaking: Sequence[PredictorFamily],
    registry: Registry | None,
) -> tuple[PredictorSet, Record]:
    record = _record(cohort, seen, settings)
    store = None
    if fits_folder is not None:
        asked = {**record, "families": [repr(family) for family in families]}
        store = FitStore(fits_folder, asked, resume=resume, say=progress.say)
    with progress.task("training predictors", fits(families, settings)) as task:
        predictors = train_predictors(
            seen, families, settings, record, task.advance, store, _failing(families, registry)
        )
    trained = {one.name for one in predictors.predictors}
    read_slices = also_leaking or [one for one in families if one.name in trained]
    slices = _slice_figures(read_slices, seen, settings, Split.SUBJECT, progress)
    figures = _metrics(predictors, seen, slices)
    if also_leaking:
        leaking = _slice_figures(also_leaking, seen, settings, Split.SLICE, progress)
        figures["leaking"] = {"split": "slice", "leaks": True, "per_slice": leaking}
    folds = subject_folds(seen.subjects, settings.folds)
    figures["mean_predictor"], figures["held_out"] = _held_out(cohort, seen, predictors, folds)
    if store is not None:
        store.discard()
    return predictors, figures


def measure_leaking_split(
    cohort: CohortFile,
    families: Sequence[PredictorFamily],
    settings: TrainingSettings,
    progress: Progress,
    views_folder: Path | None = None,
) -> Record:
    """Return the figures of the source study's split of *slices*, which leaks.

    Slices of one subject lie on both sides of it, so a network can recognise the subject. Nothing
    but the figures is kept: no decision may rest on them.

    Raises:
        PredictorError: no family reads slices.
    """
    with _passing(views_folder) as folder:
        seen = _see(cohort, families, folder, progress)
        slices = _slice_figures(families, seen, settings, Split.SLICE, progress)
        return {
            "split": "slice",
            "leaks": True,
            "training": _record(cohort, seen, settings),
            "per_slice": slices,
        }


def save_predictors(
    predictors: PredictorSet, folder: Path, *, overwrite: bool, metrics: Record | None = None
) -> None:
    """Write predictors, and their metrics, to a folder that appears only when it is whole.

    Beside ``metrics.json`` lie the held-out readings behind it, and a page that shows them.

    Raises:
        OutputExistsError: the folder has something in it and ``overwrite`` is not set.
    """
    with ReplacedFolder(folder, overwrite=overwrite) as partial:
        predictors.save(partial)
        if metrics is not None:
            held_out = metrics["held_out"]
            _write(held_out, partial / HELD_OUT)
            write_metrics({k: v for k, v in metrics.items() if v is not held_out}, partial)
    if metrics is not None:
        from qctkit.report.training import write_training_page  # loads matplotlib

        # Last: should the page fail, a training of hours is not lost with it.
        write_training_page(metrics, folder / PAGE)


def write_metrics(metrics: Record, folder: Path) -> None:
    """Write ``metrics.json`` into an existing folder."""
    _write(metrics, folder / METRICS)


def refuse_made_samples(cohort: CohortFile) -> None:
    """Refuse a cohort with samples that a recipe made: they would judge themselves.

    Raises:
        PredictorError: the cohort was written by `qctkit augment`.
    """
    if cohort.run.get("command") == "augment":
        raise PredictorError(
            f"{cohort.path} was made by `qctkit augment`; train on the real cohort it came from"
        )


def _write(record: Record, path: Path) -> None:
    text = json.dumps(record, indent=1, sort_keys=True, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


@contextmanager
def _passing(folder: Path | None) -> Iterator[Path]:
    """Give an empty folder that is gone afterwards."""
    if folder is None:
        with TemporaryDirectory() as name:
            yield Path(name)
        return
    # A run that was killed may have left it.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _see(
    cohort: CohortFile, families: Sequence[PredictorFamily], folder: Path, progress: Progress
) -> SeenCohort:
    refuse_made_samples(cohort)
    with progress.task("looking at subjects", len(cohort)) as task:
        return see_cohort(_counted(cohort, task), folder, *views_of(families, cohort.window))


def _warn_of_trained_elsewhere(
    cohort: CohortFile, families: Sequence[PredictorFamily], progress: Progress
) -> None:
    """Say which families cannot be held out of anything; refuse one that knows this cohort."""
    from qctkit.predictors.onnx_family import OnnxFamily  # loads ONNX Runtime

    for family in families:
        if not isinstance(family, OnnxFamily):
            continue
        if family.trained_on == cohort.fingerprint:
            raise PredictorError(
                f"{family.name} was trained on this very cohort, which cannot tell what it is "
                "worth on unseen subjects; leave it out, or give another cohort"
            )
        progress.say(
            f"{family.name} came trained: which subjects it has seen is not known, and its figures "
            "may be better than it deserves"
        )


def _record(cohort: CohortFile, seen: SeenCohort, settings: TrainingSettings) -> Record:
    return {
        "cohort_fingerprint": cohort.fingerprint,
        "subjects": len({one.subject_id for one in seen.subjects}),
        "samples": len(seen.subjects),
        "folds": settings.folds,
        "seed": settings.seed,
        "device": "cpu",
        "versions": versions(),
    }


def _failing(
    families: Sequence[PredictorFamily], registry: Registry | None
) -> Mapping[str, Callable[[str], None]]:
    """Return, for each family of a plugin, what tells of its failure."""
    if registry is None:
        return {}
    return {
        one.name: partial(registry.component_failed, "predictors", one.name)
        for one in families
        if registry.owner("predictors", one.name) is not None
    }


def _slice_figures(
    families: Sequence[PredictorFamily],
    seen: SeenCohort,
    settings: TrainingSettings,
    split: Split,
    progress: Progress,
) -> Record:
    """Return the figures per slice, or nothing where nothing reads slices."""
    if split is Split.SUBJECT and not slice_wise(families):
        return {}
    total = settings.folds * len(slice_wise(families))
    with progress.task(f"reading slices, split of {split}s", total) as task:
        return slice_figures(families, seen, settings, split, task.advance)


def _metrics(predictors: PredictorSet, seen: SeenCohort, slices: Record) -> dict[str, Any]:
    groups = [subject.subject_id for subject in seen.subjects]
    figures: dict[str, Record] = {}
    for one in predictors.predictors:
        by_attribute = {}
        for name in one.attributes:
            read = np.array([one.held_out[sample_id][name] for sample_id in seen.sample_ids])
            true = seen.data.values[name].double().numpy()
            by_attribute[name] = {
                "per_subject": {
                    **figures_of(name, true, read, groups),
                    **_honesty(one, name, true, read, groups),
                },
                "held_out_skill": asdict(one.skills[name]),
            }
        figures[one.name] = by_attribute
    return {
        "split": "subject",
        "leaks": False,
        "training": predictors.training,
        "skipped": dict(predictors.skipped),
        "roles": {one.name: one.role for one in predictors.predictors},
        "predictors": figures,
        "per_slice": slices,
    }


def _honesty(
    one: TrainedPredictor,
    name: str,
    true: NDArray[np.float64],
    read: NDArray[np.float64],
    groups: Sequence[str],
) -> Record:
    """Return how honest the spreads of held-out readings are; nothing for sex."""
    spreads = one.held_out_spreads.get(name)
    if spreads is None:
        return {}
    return {"spread": spread_figures(true, read, np.array(spreads), groups)}


def _held_out(
    cohort: CohortFile, seen: SeenCohort, predictors: PredictorSet, folds: Sequence[Sequence[int]]
) -> tuple[Record, Record]:
    """Return the figures of the mean predictor, and every subject with what was read of it.

    Readings stand in the order of the subjects; those of sex are logits of being male.
    """
    groups = [subject.subject_id for subject in seen.subjects]
    readings: dict[str, dict[str, list[float]]] = {
        one.name: {
            name: [one.held_out[sample_id][name] for sample_id in seen.sample_ids]
            for name in one.attributes
        }
        for one in predictors.predictors
    }
    figures, mean = {}, {}
    for name in dict.fromkeys(name for one in predictors.predictors for name in one.attributes):
        true = seen.data.values[name].double().numpy()
        read = mean_readings(name, true, folds)
        figures[name] = mean_figures(name, true, read, groups)
        mean[name] = read.tolist()
    fold_of = {row: number for number, rows in enumerate(folds) for row in rows}
    subjects = [
        _subject(cohort, sample_id, fold_of[row]) for row, sample_id in enumerate(seen.sample_ids)
    ]
    curves = {one.name: one.curves for one in predictors.predictors if one.curves}
    return figures, {
        "subjects": subjects,
        "readings": readings,
        "spreads": {
            one.name: one.held_out_spreads for one in predictors.predictors if one.held_out_spreads
        },
        "mean_readings": mean,
        "learning_curves": curves,
    }


def _subject(cohort: CohortFile, sample_id: str, fold: int) -> Record:
    subject, scan = cohort.subject(sample_id), cohort.summary(sample_id)
    return {
        "sample_id": sample_id,
        "subject_id": subject.subject_id,
        "fold": fold,
        **{name: subject.stated(name) for name in cohort.attributes},
        "simulated": Origin.SIMULATED in subject.origins.values(),
        "scan_length_mm": scan["shape"][0] * scan["spacing_mm"][0],
    }


def _counted(cohort: CohortFile, task: Task) -> Iterator[Sample]:
    for sample in cohort:
        yield sample
        task.advance(sample.sample_id)
