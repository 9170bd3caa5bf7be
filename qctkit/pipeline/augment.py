"""``qctkit augment``: the main job, from real scans to new labelled ones."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from qctkit.cohort import Record, Sample, Synthesis
from qctkit.contracts import (
    Candidate,
    Edit,
    LossTerm,
    Reading,
    Recipe,
    Role,
    Validator,
    Verdict,
)
from qctkit.density import DensityReference, density_reference, measure_density
from qctkit.engine.loop import Aim, Outcome, Stop, optimise
from qctkit.engine.render import render, view_scene
from qctkit.engine.targets import Target, draw_target, outside_range
from qctkit.errors import PluginError
from qctkit.frame import FemurFrame, locate
from qctkit.networks import one_thread
from qctkit.pipeline.carry import Carrying, carrying, reads
from qctkit.pipeline.train import refuse_made_samples
from qctkit.pipeline.versions import versions
from qctkit.predictors.trained import PredictorSet, TrainedPredictor
from qctkit.predictors.training import as_tensor
from qctkit.progress import Progress, Task
from qctkit.registry import Registry
from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter
from qctkit.subject import ATTRIBUTES, Subject
from qctkit.view import View, see, see_volume
from qctkit.volume import Mask, Volume

BATCH = 8
"""Candidates optimised together."""

DENSITY_ERROR_HU = 10.0
"""Error that counts as one unit when a mean density is the aim: below a scan's repeatability."""


@dataclass(frozen=True)
class AugmentOptions:
    """What to make.

    Attributes:
        samples: accepted samples wanted.
        seed: of every draw.
        max_candidates: most candidates to try; None allows four a sample.
        targets: explicit targets; empty draws them from the cohort.
    """

    samples: int = 16
    seed: int = 0
    max_candidates: int | None = None
    targets: tuple[Target, ...] = ()

    @property
    def budget(self) -> int:
        """Candidates that may be made."""
        if self.targets:
            return len(self.targets)
        return self.max_candidates or 4 * self.samples


@dataclass(frozen=True)
class AugmentResult:
    """How a run ended: the file, and how many were wanted, accepted and refused."""

    path: Path
    wanted: int
    accepted: int
    refused: int
    carried: tuple[Carrying, ...]


@dataclass(frozen=True, eq=False)
class _Plan:
    """Everything that stays the same from candidate to candidate."""

    cohort: CohortFile
    recipe: Recipe
    edit: Edit
    predictors: PredictorSet
    drivers: tuple[TrainedPredictor, ...]
    validators: tuple[Validator, ...]
    terms: Mapping[str, LossTerm]
    carried: tuple[str, ...]
    driven: tuple[str, ...]
    reference: DensityReference
    sources: Mapping[str, Subject]
    options: AugmentOptions

    @property
    def view(self) -> View:
        """The grid that is optimised on: that of the predictors that drive."""
        names = [one.name for one in self.drivers] or [self.recipe.carried_by]
        return self.predictors.shared_view(names)

    def target(self, number: int) -> Target:
        if self.options.targets:
            return self.options.targets[number]
        return draw_target(self.sources, self.driven, self.options.seed, number)


@dataclass(frozen=True, eq=False)
class _Work:
    """One candidate on its way: its number, target, source and what was optimised."""

    number: int
    target: Target
    source: Sample
    frame: FemurFrame
    image: Tensor
    density_change_hu: float


def augment(
    cohort: CohortFile,
    recipe: Recipe,
    predictors: PredictorSet,
    registry: Registry,
    options: AugmentOptions,
    output: Path,
    progress: Progress,
    *,
    overwrite: bool = False,
    resume: bool = False,
) -> AugmentResult:
    """Make samples until enough are accepted or the budget is spent.

    Raises:
        PluginError: the recipe puts a reader into the loop, or names what is not registered.
        InputError: the targets or the resumed run do not fit.
    """
    refuse_made_samples(cohort)
    outcomes = carrying(recipe, predictors)
    for outcome in outcomes:
        progress.say(outcome.words)
    plan = _plan(cohort, recipe, predictors, registry, options, outcomes, progress)
    if not plan.driven:
        progress.say(
            "no attribute is carried: samples keep all labels of their source, and their density "
            "varies within what real subjects of equal attributes show"
        )
    run = _run_record(plan, outcomes)
    with (
        CohortWriter(
            output, run, window=cohort.window, overwrite=overwrite, keep_parts=True, resume=resume
        ) as writer,
        progress.task("making samples", options.samples) as task,
        one_thread(),
    ):
        accepted, refused = _make(plan, writer, task)
    return AugmentResult(output, options.samples, accepted, refused, outcomes)


def _plan(
    cohort: CohortFile,
    recipe: Recipe,
    predictors: PredictorSet,
    registry: Registry,
    options: AugmentOptions,
    outcomes: Sequence[Carrying],
    progress: Progress,
) -> _Plan:
    drivers = tuple(
        predictors.named(name) for name in recipe.predictors if _trained(predictors, name)
    )
    for driver in drivers:
        if driver.role is Role.READER:
            raise PluginError(
                f"recipe {recipe.name} puts {driver.name} into the loop, but it is a reader: a "
                "judge must stay outside; choose a predictor of role 'loop'"
            )
    carried = tuple(outcome.attribute for outcome in outcomes if outcome.carried)
    readable = {name for one in drivers for name in one.attributes if reads(one, name)}
    driven = (
        tuple(name for name in ATTRIBUTES if name in readable) if recipe.drives_all else carried
    )
    return _Plan(
        cohort=cohort,
        recipe=recipe,
        edit=registry.edit(recipe.edit),
        predictors=predictors,
        drivers=drivers,
        validators=tuple(registry.validator(name) for name in recipe.validators),
        terms={name: registry.loss(name) for name in recipe.preservation},
        carried=carried,
        driven=driven,
        reference=cohort_reference(cohort, progress),
        sources={sample_id: cohort.subject(sample_id) for sample_id in cohort.sample_ids},
        options=options,
    )


def cohort_reference(cohort: CohortFile, progress: Progress) -> DensityReference:
    """Return the densities of a real cohort, measured one volume at a time."""
    subjects, figures = [], []
    with progress.task("measuring densities", len(cohort)) as task:
        for sample in cohort:
            subjects.append(sample.subject)
            figures.append(measure_density(sample.volume, sample.femur, cohort.window))
            task.advance(sample.sample_id)
    return density_reference(subjects, figures)


def _make(plan: _Plan, writer: CohortWriter, task: Task) -> tuple[int, int]:
    """Make candidates batch by batch; return how many were accepted and refused."""
    for first in range(0, plan.options.budget, BATCH):
        numbers = range(first, min(first + BATCH, plan.options.budget))
        accepted, refused = writer.stored()
        if accepted >= plan.options.samples:
            break
        if all(writer.done(number) for number in numbers):
            continue
        for number, made in zip(numbers, _candidates(plan, numbers), strict=True):
            if accepted >= plan.options.samples:
                break
            if writer.done(number):  # counted already: the batch is made whole again on resume
                continue
            if isinstance(made, Sample):
                writer.add(number, made)
                accepted += 1
                task.advance(f"{accepted} accepted, {refused} refused")
            else:
                writer.refuse(number, made)
                refused += 1
    return writer.stored()


def _candidates(plan: _Plan, numbers: Sequence[int]) -> list[Sample | Record]:
    """Return a sample or a refusal for each number; the batch is optimised together."""
    batch = [_begin(plan, number) for number in numbers]
    images = torch.stack([work.image for work in batch])
    scene = view_scene(images, plan.view)
    outcomes = optimise(
        scene,
        plan.edit,
        plan.edit.start(len(batch), plan.view),
        _aims(plan, batch, images),
        [(weight, plan.terms[name]) for name, weight in plan.recipe.preservation.items()],
        steps=plan.recipe.steps,
        patience=plan.recipe.patience,
    )
    return [_finish(plan, work, outcome) for work, outcome in zip(batch, outcomes, strict=True)]


def _begin(plan: _Plan, number: int) -> _Work:
    target = plan.target(number)
    source = plan.cohort.load(target.source_sample_id)
    frame = locate(source.femur, source.volume.geometry)
    image = as_tensor(see(source.volume, source.femur, frame, plan.view))
    draw = np.random.default_rng([plan.options.seed, 2, number]).normal()
    spread = plan.reference.trabecular_hu.residual_sd
    change = 0.0 if plan.driven else float(np.clip(draw, -2.0, 2.0) * spread)
    return _Work(number, target, source, frame, image, change)


def _aims(plan: _Plan, batch: Sequence[_Work], images: Tensor) -> list[Aim]:
    """Return what each driver should come to read, or a mean density where nothing is driven."""
    if not plan.driven:
        wanted = _mean_density_hu(images) + torch.tensor([one.density_change_hu for one in batch])
        return [Aim(_mean_density_hu, wanted, DENSITY_ERROR_HU)]
    aims = []
    for driver in plan.drivers:
        with torch.no_grad():
            before = driver(images)
        for column, name in enumerate(driver.attributes):
            if name in plan.driven and reads(driver, name):
                response = driver.skills[name].response
                changes = [response.expected_change(_change(work, name)) for work in batch]
                wanted = before[:, column] + torch.tensor(changes)
                aims.append(Aim(partial(_column, driver, column), wanted, response.residual_sd))
    return aims


def _column(driver: TrainedPredictor, column: int, images: Tensor) -> Tensor:
    return driver(images)[:, column]


def _mean_density_hu(images: Tensor) -> Tensor:
    """Return the mean HU over the femur's share of each voxel, ``(N,)``."""
    hu, femur = images[:, 0], images[:, 1]
    return (hu * femur).sum(dim=(1, 2, 3)) / femur.sum(dim=(1, 2, 3))


def _change(work: _Work, attribute: str) -> float:
    """Return the change asked of an attribute: 0 where the target leaves it alone."""
    source = work.source.subject.value(attribute)
    wanted = work.target.values.get(attribute)
    return 0.0 if source is None or wanted is None else wanted - source


def _finish(plan: _Plan, work: _Work, outcome: Outcome) -> Sample | Record:
    """Render a candidate at full resolution, read and judge it there, and accept or refuse it."""
    source = work.source
    region = plan.edit.region(source, work.frame, plan.view)
    volume = render(source, plan.edit, outcome.parameters, region, work.frame, plan.view)
    readings = _readings(plan, work, volume)
    label = work.target.label(source.subject, plan.carried)
    candidate = Candidate(source, volume, region, label, plan.carried, readings)
    verdicts = [one.judge(candidate, plan.reference) for one in plan.validators]
    record = _record(plan, work, outcome, label, readings, verdicts)
    if outcome.stop is not Stop.REFUSED and all(verdict.passed for verdict in verdicts):
        return _sample(work, volume, region, label, outcome, record)
    return record


def _readings(plan: _Plan, work: _Work, volume: Volume) -> tuple[Reading, ...]:
    """Return what every predictor reads before and after, off the full-resolution volume."""
    views = {one.view for one in plan.predictors.predictors}
    images = {view: _before_and_after(work, volume, view) for view in views}
    readings = []
    for predictor in plan.predictors.predictors:
        with torch.no_grad():
            estimates = predictor(images[predictor.view]).double().tolist()
        for column, name in enumerate(predictor.attributes):
            response = predictor.skills[name].response
            before = estimates[0][column]
            readings.append(
                Reading(
                    predictor=predictor.name,
                    role=predictor.role,
                    attribute=name,
                    before=before,
                    after=estimates[1][column],
                    expected=before + response.expected_change(_change(work, name)),
                    typical_error=response.residual_sd,
                    can_read=reads(predictor, name),
                )
            )
    return tuple(readings)


def _before_and_after(work: _Work, volume: Volume, view: View) -> Tensor:
    """Return the source and the candidate as a view shows them, ``(2, 2, D, H, W)``."""
    before = as_tensor(see(work.source.volume, work.source.femur, work.frame, view))
    after = before.clone()
    after[0] = torch.from_numpy(see_volume(volume, work.frame, view))
    return torch.stack([before, after])


def _sample(
    work: _Work, volume: Volume, region: Mask, label: Subject, outcome: Outcome, record: Record
) -> Sample:
    source = work.source
    return Sample(
        sample_id=f"{source.sample_id[:56]}-a{work.number:05d}",
        subject=label,
        volume=volume,
        femur=source.femur,
        provenance={"made_by": record["recipe"], "source_sample_id": source.sample_id},
        synthesis=Synthesis(
            source_sample_id=source.sample_id,
            source_subject_id=source.subject.subject_id,
            region=region,
            record=record,
            parameters={name: values.numpy() for name, values in outcome.parameters.items()},
        ),
    )


def _record(
    plan: _Plan,
    work: _Work,
    outcome: Outcome,
    label: Subject,
    readings: Sequence[Reading],
    verdicts: Sequence[Verdict],
) -> Record:
    """Return everything that is kept of a candidate beside its voxels."""
    failed = [verdict.words for verdict in verdicts if not verdict.passed]
    if outcome.stop is Stop.REFUSED:
        failed.insert(0, f"the edit {plan.edit.name} left its limits")
    return {
        "candidate_id": f"candidate-{work.number:05d}",
        "number": work.number,
        "source_sample_id": work.source.sample_id,
        "source_subject_id": work.source.subject.subject_id,
        "recipe": plan.recipe.name,
        "carried": list(plan.carried),
        "targets": _targets(work.target.values, plan.driven),
        "extrapolates": list(outside_range(work.target.values, tuple(plan.sources.values()))),
        "density_change_asked_hu": work.density_change_hu if not plan.driven else None,
        "labels": {name: getattr(label, name) for name in ATTRIBUTES},
        "source_labels": {name: getattr(work.source.subject, name) for name in ATTRIBUTES},
        "readings": [_reading_record(one) for one in readings],
        "verdicts": [verdict.record() for verdict in verdicts],
        "accepted": not failed,
        "reason": "; ".join(failed),
        "stop": outcome.stop,
        "steps": outcome.steps,
        "losses": [round(loss, 6) for loss in outcome.losses],
        "seed": plan.options.seed,
    }


def _targets(values: Mapping[str, float], driven: Sequence[str]) -> Record:
    """Return the targets asked for, None for attributes left alone; sex as F or M."""
    asked: dict[str, object] = {
        name: values.get(name) if name in driven else None for name in ATTRIBUTES
    }
    if asked["sex"] is not None:
        asked["sex"] = "M" if values["sex"] > 0.5 else "F"
    return asked


def _reading_record(reading: Reading) -> Record:
    return asdict(reading)


def _run_record(plan: _Plan, outcomes: Sequence[Carrying]) -> Record:
    """Return what decides the bytes of the file; two runs with the same record are the same run."""
    return {
        "command": "augment",
        "recipe": plan.recipe.name,
        "account": plan.recipe.account,
        "edit": plan.edit.account,
        "validators": list(plan.recipe.validators),
        "preservation": dict(plan.recipe.preservation),
        "carrying": [outcome.record() for outcome in outcomes],
        "cohort_fingerprint": plan.cohort.fingerprint,
        "predictors": plan.predictors.training,
        "samples_wanted": plan.options.samples,
        "budget": plan.options.budget,
        "seed": plan.options.seed,
        "targets": [[one.source_sample_id, dict(one.values)] for one in plan.options.targets],
        "batch": BATCH,
        "versions": versions(),
    }


def _trained(predictors: PredictorSet, name: str) -> bool:
    """Whether a predictor was trained; one whose attributes the cohort cannot teach was not."""
    return any(one.name == name for one in predictors.predictors)
