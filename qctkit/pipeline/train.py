"""``qctkit train``: predictors of a cohort, with what each is worth on unseen subjects."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from qctkit.cohort import Sample
from qctkit.contracts import PredictorFamily
from qctkit.errors import PredictorError
from qctkit.pipeline.versions import versions
from qctkit.predictors.trained import PredictorSet
from qctkit.predictors.training import (
    TrainingSettings,
    fits,
    see_cohort,
    train_predictors,
)
from qctkit.progress import Progress, Task
from qctkit.store.folder import ReplacedFolder
from qctkit.store.reader import CohortFile
from qctkit.view import View


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
    refuse_made_samples(cohort)
    view = View(window=cohort.window)
    with progress.task("looking at subjects", len(cohort)) as task:
        seen = see_cohort(_counted(cohort, task), view)
    record = {
        "cohort_fingerprint": cohort.fingerprint,
        "subjects": len({one.subject_id for one in seen.subjects}),
        "samples": len(seen.subjects),
        "folds": settings.folds,
        "seed": settings.seed,
        "versions": versions(),
    }
    with progress.task("training predictors", fits(families, settings)) as task:
        return train_predictors(seen, families, settings, record, task.advance)


def refuse_made_samples(cohort: CohortFile) -> None:
    """Refuse a cohort with samples that a recipe made: they would judge themselves.

    Raises:
        PredictorError: the cohort was written by `qctkit augment`.
    """
    if cohort.run.get("command") == "augment":
        raise PredictorError(
            f"{cohort.path} was made by `qctkit augment`; train on the real cohort it came from"
        )


def save_predictors(predictors: PredictorSet, folder: Path, *, overwrite: bool) -> None:
    """Write predictors to a folder that appears only when it is whole.

    Raises:
        OutputExistsError: the folder has something in it and ``overwrite`` is not set.
    """
    with ReplacedFolder(folder, overwrite=overwrite) as partial:
        predictors.save(partial)


def _counted(cohort: CohortFile, task: Task) -> Iterator[Sample]:
    for sample in cohort:
        yield sample
        task.advance(sample.sample_id)
