"""What is kept of a candidate beside its voxels."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from torch import Tensor

from qctkit.cohort import Record
from qctkit.contracts import Edit, Reading, Verdict
from qctkit.engine.loop import Outcome, Stop
from qctkit.pipeline.augment_plan import Plan
from qctkit.pipeline.augment_targets import asked_beyond
from qctkit.pipeline.augment_unseen import TwinReading, warning
from qctkit.pipeline.augment_work import Work
from qctkit.pipeline.versions import versions
from qctkit.predictors.onnx_description import view_record
from qctkit.subject import Origin, Subject

TRANSFORM, TRANSFORM_SEED = "transform", "transform_seed"
"""Names in the record of what stands in for edits, where a recipe optimises nothing."""

MOST_BYTES = 65536
"""Of the parameters that a refusal keeps."""


def candidate_record(
    plan: Plan,
    work: Work,
    outcome: Outcome,
    label: Subject,
    readings: Sequence[Reading],
    twins: Sequence[TwinReading],
    verdicts: Sequence[Verdict],
) -> Record:
    """Return everything that is kept of a candidate beside its voxels."""
    failed = [verdict.words for verdict in verdicts if not verdict.passed]
    if outcome.stop is Stop.REFUSED:
        failed[:0] = _beyond(plan.edit, outcome)
    return {
        **_asked(plan, work, label),
        "parameters": parameters_record(plan.edit, outcome.parameters, whole=bool(failed)),
        "figures": {name: round(value, 4) for name, value in outcome.figures.items()},
        "readings": [_reading_record(one) for one in readings],
        "twin_readings": [asdict(one) for one in twins],
        "warning": warning(twins),
        "verdicts": [verdict.record() for verdict in verdicts],
        "accepted": not failed,
        "reason": "; ".join(failed),
        "stop": outcome.stop,
        "steps": outcome.steps,
        "losses": [round(loss, 6) for loss in outcome.losses],
        "attribute_term": plan.recipe.attribute_term,
        "preservation": [asdict(one) for one in outcome.kept],
    }


def failure_record(plan: Plan, work: Work, words: str) -> Record:
    """Return what is kept of a candidate on which a plugin's code failed."""
    label = work.target.label(work.subject, plan.carried)
    return {
        **_asked(plan, work, label),
        "parameters": {},
        "figures": {},
        "readings": [],
        "twin_readings": [],
        "warning": "",
        "verdicts": [],
        "accepted": False,
        "reason": words,
        "stop": Stop.REFUSED,
        "steps": 0,
        "losses": [],
        "attribute_term": plan.recipe.attribute_term,
        "preservation": [],
    }


def _beyond(edit: Edit, outcome: Outcome) -> list[str]:
    """Return in words which bounds were broken, or else that the edit left its limits."""
    broken = [
        f"{one.term} costs {one.cost:.3g}, beyond its bound of {one.at_most:g}"
        for one in outcome.kept
        if one.is_broken
    ]
    return broken or [f"the edit {edit.name} left its limits"]


def candidate_id(work: Work) -> str:
    """Return the name of a candidate, for records and messages."""
    return f"candidate-{work.number:05d}"


def _asked(plan: Plan, work: Work, label: Subject) -> Record:
    """Return what is known of a candidate before it is made."""
    return {
        "candidate_id": candidate_id(work),
        "number": work.number,
        "source_sample_id": work.target.source_sample_id,
        "source_subject_id": work.subject.subject_id,
        "recipe": plan.recipe.name,
        "edits": list(plan.recipe.edits),
        **(
            {TRANSFORM: plan.recipe.transform, TRANSFORM_SEED: work.transform_seed}
            if plan.transform
            else {}
        ),
        "view": view_record(plan.view),
        "carried": list(plan.carried),
        "targets": _targets(work, plan.driven),
        "extrapolation": asked_beyond(
            work.target, plan.sources, plan.driven, plan.cohort_range
        ).record(),
        "density_change_asked_hu": None
        if plan.driven or plan.transform
        else work.density_change_hu,
        "labels": _stated(label),
        "source_labels": _stated(work.subject),
        "seed": plan.options.seed,
        "versions": versions(),
    }


def _targets(work: Work, driven: Sequence[str]) -> Record:
    """Return the targets asked for, None for attributes left alone; sex as F or M."""
    source, values = work.subject, work.target.values
    asked = source.with_values(
        {name: values[name] for name in driven if name in values}, Origin.TARGET
    )
    return {
        name: asked.stated(name) if name in driven and name in values else None
        for name in asked.attributes
    }


def _stated(subject: Subject) -> Record:
    return {name: subject.stated(name) for name in subject.attributes}


def parameters_record(
    edit: Edit, parameters: Mapping[str, Tensor], *, whole: bool
) -> dict[str, Record]:
    """Return how large the edit's parameters are, by name, in the unit of each.

    ``whole`` adds their values as base64 of little-endian float32, for a refused candidate, which
    has no other place for them; more than 64 KiB of them, as free voxels are, are left out.
    """
    return {
        name: {
            "unit": edit.units[name],
            "shape": list(values.shape),
            "root_mean_square": float(values.square().mean().sqrt()),
            "largest": float(values.abs().max()),
            **({"float32": _base64(values)} if whole and values.nbytes <= MOST_BYTES else {}),
        }
        for name, values in parameters.items()
    }


def _base64(values: Tensor) -> str:
    return base64.b64encode(values.numpy().astype("<f4").tobytes()).decode()


def _reading_record(reading: Reading) -> Record:
    return asdict(reading)
