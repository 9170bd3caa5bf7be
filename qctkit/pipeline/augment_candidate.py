"""Candidates: from a target and its source to a sample, or to the record of a refusal."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from qctkit.cohort import Record, Sample, Synthesis
from qctkit.contracts import Candidate, Reading
from qctkit.engine.loop import Outcome, Stop, optimise
from qctkit.engine.render import Rendering, moved_hu, render
from qctkit.engine.scenes import view_scene
from qctkit.errors import PluginRunError
from qctkit.frame import FemurFrame, locate
from qctkit.pipeline import transformed
from qctkit.pipeline.augment_aims import batch_aims, batch_start
from qctkit.pipeline.augment_plan import Plan
from qctkit.pipeline.augment_record import candidate_id, candidate_record, failure_record
from qctkit.pipeline.augment_unseen import twin_readings
from qctkit.pipeline.augment_work import Work, begin
from qctkit.pipeline.readings import readings_of
from qctkit.pipeline.verdict import verdict_of
from qctkit.predictors.training import as_tensor
from qctkit.subject import Subject
from qctkit.view import View, see
from qctkit.volume import Mask


def make_candidates(plan: Plan, numbers: Sequence[int]) -> Iterator[Sample | Record]:
    """Give a sample or a refusal for each number; the batch is optimised together.

    They are made one by one as they are asked for, so that one scan is in memory at a time.

    Where a plugin's code raises something, its candidates are refused and the next are tried.
    """
    batch = [begin(plan, number) for number in numbers]
    try:
        with plan.registry.guarding_all(f"candidates {numbers[0]} to {numbers[-1]}"):
            outcomes = _optimised(plan, batch)
    except PluginRunError as error:
        words = plan.registry.failed(error)
        yield from (failure_record(plan, work, words) for work in batch)
        return
    for work, outcome in zip(batch, outcomes, strict=True):
        yield _finished(plan, work, outcome)


def _optimised(plan: Plan, batch: Sequence[Work]) -> list[Outcome]:
    if plan.transform is not None:
        return [Outcome({}, {}, Stop.TRANSFORMED, 0, ()) for _ in batch]
    images = torch.stack([work.image for work in batch])
    return optimise(
        view_scene(images, plan.view),
        plan.edit,
        batch_start(plan, batch, images),
        batch_aims(plan, batch, images),
        [(weight, plan.terms[name]) for name, weight in plan.recipe.preservation.items()],
        steps=plan.recipe.steps,
        patience=plan.recipe.patience,
        pace=plan.recipe.pace,
        held=plan.recipe.held,
        attribute_term=plan.attribute_term,
        together=plan.batch,
    )


def _finished(plan: Plan, work: Work, outcome: Outcome) -> Sample | Record:
    source = plan.cohort.load(work.target.source_sample_id)
    try:
        with plan.registry.guarding_all(candidate_id(work)):
            return _finish(plan, work, source, outcome)
    except PluginRunError as error:
        return failure_record(plan, work, plan.registry.failed(error))


def _finish(plan: Plan, work: Work, source: Sample, outcome: Outcome) -> Sample | Record:
    """Render a candidate at full resolution, read and judge it there, and accept or refuse it."""
    if plan.transform is not None:
        with plan.registry.guarding("transforms", plan.transform.name, candidate_id(work)):
            made, region, given = transformed.rendered(plan.transform, source, work.transform_seed)
        outcome = replace(outcome, figures=given.figures)
        moved = transformed.moved_hu(source, made.volume, made.femur)
    else:
        region = plan.edit.region(source, work.frame, plan.view)
        making = (source, plan.edit, outcome.parameters, region, work.frame, plan.view)
        made = render(*making)
        moved = moved_hu(*making) if plan.edit.reach_mm else None
    frames = work.frame, locate(made.femur, made.volume.geometry)
    images = {view: _before_and_after(source, made, frames, view) for view in _views(plan)}
    readings = _readings(plan, work, images)
    label = work.target.label(source.subject, plan.carried)
    candidate = Candidate(
        source=source,
        volume=made.volume,
        femur=made.femur,
        region=region,
        label=label,
        carried=plan.carried,
        readings=readings,
        figures=outcome.figures,
        moved_hu=moved,
    )
    verdicts = [
        verdict_of(plan.registry, one, candidate, plan.reference, candidate_id(work))
        for one in plan.validators
    ]
    twins = twin_readings(plan, work, images)
    record = candidate_record(plan, work, outcome, label, readings, twins, verdicts)
    if outcome.stop is not Stop.REFUSED and all(verdict.passed for verdict in verdicts):
        return _sample(work, source, made, region, label, outcome, record)
    return record


def _views(plan: Plan) -> set[View]:
    return {one.view for one in plan.predictors.predictors}


def _readings(plan: Plan, work: Work, images: Mapping[View, Tensor]) -> tuple[Reading, ...]:
    """Return what every predictor reads before and after, off the full-resolution volume."""
    asked = {name: work.change_asked(name) for name in work.target.values}
    readings: list[Reading] = []
    for predictor in plan.predictors.predictors:
        with torch.no_grad():
            before, after = predictor(images[predictor.view]).double().tolist()
        readings.extend(readings_of(predictor, before, after, asked))
    return tuple(readings)


def _before_and_after(
    source: Sample, made: Rendering, frames: tuple[FemurFrame, FemurFrame], view: View
) -> Tensor:
    """Return the source and the candidate, each in its own frame, ``(2, 2, D, H, W)``."""
    before = see(source.volume, source.femur, frames[0], view)
    after = see(made.volume, made.femur, frames[1], view)
    return torch.stack([as_tensor(before), as_tensor(after)])


def _sample(
    work: Work,
    source: Sample,
    made: Rendering,
    region: Mask,
    label: Subject,
    outcome: Outcome,
    record: Record,
) -> Sample:
    return Sample(
        sample_id=f"{source.sample_id[:56]}-a{work.number:05d}",
        subject=label,
        volume=made.volume,
        femur=made.femur,
        provenance={"made_by": record["recipe"], "source_sample_id": source.sample_id},
        synthesis=Synthesis(
            source_sample_id=source.sample_id,
            source_subject_id=source.subject.subject_id,
            region=region,
            record=record,
            parameters={name: values.numpy() for name, values in outcome.parameters.items()},
        ),
    )
