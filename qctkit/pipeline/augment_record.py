"""What is kept of a candidate beside its voxels."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from qctkit.cohort import Record
from qctkit.contracts import Reading, Verdict
from qctkit.engine.loop import Outcome, Stop
from qctkit.engine.targets import outside_range
from qctkit.pipeline.augment_plan import Plan
from qctkit.pipeline.augment_work import Work
from qctkit.subject import ATTRIBUTES, Subject


def candidate_record(
    plan: Plan,
    work: Work,
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
        "edit": {name: round(value, 4) for name, value in outcome.figures.items()},
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
