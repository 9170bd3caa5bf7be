"""``qctkit augment``: the main job, from real scans to new labelled ones."""

import pickle
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from qctkit.cohort import Record, Sample
from qctkit.contracts import Recipe
from qctkit.errors import PluginRunError
from qctkit.memory import room
from qctkit.networks import one_thread
from qctkit.pipeline.augment_candidate import make_candidates
from qctkit.pipeline.augment_memory import predicted_need, refuse_without_room
from qctkit.pipeline.augment_plan import AugmentOptions, Plan, make_plan, run_record
from qctkit.pipeline.augment_targets import extrapolation_words
from qctkit.pipeline.carry import Carrying, carrying
from qctkit.pipeline.train import refuse_made_samples
from qctkit.predictors.trained import PredictorSet
from qctkit.processes import in_order
from qctkit.progress import Progress, Task
from qctkit.registry import Registry
from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter, begun_run

__all__ = ["AugmentOptions", "AugmentResult", "augment"]


@dataclass(frozen=True)
class AugmentResult:
    """How a run ended: the file, and how many were wanted, accepted and refused."""

    path: Path
    wanted: int
    accepted: int
    refused: int
    carried: tuple[Carrying, ...]


def augment(
    cohort: CohortFile,
    recipe: Recipe,
    predictors: PredictorSet,
    registry: Registry,
    options: AugmentOptions,
    output: Path,
    progress: Progress,
    *,
    reference: CohortFile | None = None,
    overwrite: bool = False,
    resume: bool = False,
    workers: int = 1,
) -> AugmentResult:
    """Make samples until enough are accepted or the budget is spent, in so many processes.

    What real people are like (densities, shapes, the range of targets' effects) is learned of
    ``reference``, the cohort of the predictors, where the sources are another one's.

    Raises:
        PluginError: the recipe puts a reader into the loop, or names what is not registered.
        InputError: the targets do not fit the recipe or the cohort, or the resumed run this one,
            or there is plainly too little memory.
    """
    reference = cohort if reference is None else reference
    for one in (cohort, reference):
        refuse_made_samples(one)
    outcomes = carrying(recipe, predictors)
    for outcome in outcomes:
        progress.say(outcome.words)
    if resume and options.batch is None:
        options = replace(options, batch=begun_run(output).get("batch"))
    plan = make_plan(cohort, reference, recipe, predictors, registry, options, outcomes, progress)
    if plan.transform is not None:
        progress.say(
            f"{recipe.name} optimises nothing: {plan.transform.account}; samples keep all labels "
            "of their source"
        )
    elif not plan.driven:
        progress.say(
            "no attribute is carried: samples keep all labels of their source, and their density "
            "varies within what real subjects of equal attributes show"
        )
    for limit in options.limits:
        if limit.attribute not in plan.driven and not limit.same_as_source:
            progress.say(
                f"{limit.attribute} is not carried: targets come from real subjects with "
                f"{limit.words}, but samples keep the {limit.attribute} of their source"
            )
    for words in extrapolation_words(plan.targets, plan.sources, plan.driven, plan.cohort_range):
        progress.say(words)
    need, here = predicted_need(plan, workers), room()
    progress.say(f"{need.words}; {here.words}" if here else need.words)
    refuse_without_room(need, here)
    run = run_record(plan, outcomes)
    registry.observe("before_run", run=run)
    with (
        CohortWriter(
            output, run, window=cohort.window, overwrite=overwrite, keep_parts=True, resume=resume
        ) as writer,
        progress.task("making samples", options.samples) as task,
    ):
        accepted, refused = _make(plan, writer, task, workers)
    registry.observe("after_run", output=output, accepted=accepted, refused=refused)
    return AugmentResult(output, options.samples, accepted, refused, outcomes)


def _make(plan: Plan, writer: CohortWriter, task: Task, workers: int) -> tuple[int, int]:
    """Make candidates batch by batch until enough are accepted; count accepted and refused.

    Batches are stored in their order, and what workers began beyond the last is dropped: the
    number of workers changes no byte.
    """
    batches = [
        numbers for numbers in _batches(plan) if not all(writer.done(number) for number in numbers)
    ]
    make = partial(_made, plan, writer)
    if workers > 1:
        make = partial(_made_elsewhere, pickle.dumps((plan, writer)))
    with closing(in_order(make, batches, workers)) as results:
        while writer.stored()[0] < plan.options.samples:
            made = next(results, None)
            if made is None:
                break
            for words in made.failures:
                if words not in plan.registry.failures:
                    plan.registry.failed(PluginRunError(words))
            _store(plan, writer, task, made)
    return writer.stored()


def _batches(plan: Plan) -> Iterator[range]:
    for first in range(0, len(plan.targets), plan.batch):
        yield range(first, min(first + plan.batch, len(plan.targets)))


@dataclass(frozen=True, eq=False)
class _Made:
    """The records of the candidates of a batch, and what plugins raised meanwhile.

    Samples wait on disk until they are wanted: voxels of a batch would fill memory.
    """

    numbers: range
    records: list[Record]
    failures: list[str]


def _made(plan: Plan, writer: CohortWriter, numbers: range) -> _Made:
    records = []
    with one_thread():
        for number, made in zip(numbers, make_candidates(plan, numbers), strict=True):
            if isinstance(made, Sample):
                writer.set_aside(number, made)
                made = made.synthesis.record if made.synthesis else {}
            records.append(made)
    return _Made(numbers, records, plan.registry.failures)


def _made_elsewhere(run: bytes, numbers: range) -> _Made:
    """Return what ``_made`` does, in a worker.

    Plan and writer come as bytes: sent as it is, each of the plan's hundreds of tensors would be
    shared through a file descriptor, of which there are few, and be lost with a worker that is
    ended.
    """
    plan, writer = pickle.loads(run)
    return _made(plan, writer, numbers)


def _store(plan: Plan, writer: CohortWriter, task: Task, batch: _Made) -> None:
    """Store the candidates of a batch, up to the last that is wanted."""
    accepted, refused = writer.stored()
    for number, record in zip(batch.numbers, batch.records, strict=True):
        if accepted >= plan.options.samples:
            return
        if writer.done(number):  # counted already: the batch is made whole again on resume
            continue
        if record["accepted"]:
            writer.take(number)
            accepted += 1
            task.advance(f"{accepted} accepted, {refused} refused")
        else:
            writer.refuse(number, record)
            refused += 1
        plan.registry.observe("after_candidate", record=record)
