"""``qctkit adopt``: an ONNX predictor from elsewhere joins others, to read or to drive."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qctkit.cohort import Record
from qctkit.contracts import AttributeTerm, Role
from qctkit.errors import PredictorError
from qctkit.pipeline.predict import score_cohort
from qctkit.pipeline.train import refuse_made_samples
from qctkit.predictors.folds import FEWEST_SUBJECTS
from qctkit.predictors.gradient_brought import try_gradient
from qctkit.predictors.gradient_description import SUFFIX
from qctkit.predictors.gradient_onnx import OnnxGradients
from qctkit.predictors.onnx_description import NAME_PATTERN, Description, Evidence
from qctkit.predictors.onnx_graph import model_bytes
from qctkit.predictors.onnx_loading import load_onnx, toml_of
from qctkit.predictors.onnx_scoring import Hardware, OnnxPredictor
from qctkit.predictors.onnx_toml import FAMILY, read_gradient_toml
from qctkit.predictors.skill import Skill, joint_response, skill_of
from qctkit.predictors.trained import DESCRIPTION, read_description
from qctkit.progress import Progress
from qctkit.store.reader import CohortFile
from qctkit.subject import ATTRIBUTES, Subject, common_attributes


@dataclass(frozen=True)
class Adopted:
    """A predictor that joined a set.

    Attributes:
        left_out: attributes that it reads but that the cohort cannot measure, and why.
    """

    description: Description
    left_out: Mapping[str, str]


def adopt(
    source: Path,
    cohort: CohortFile,
    folder: Path,
    progress: Progress,
    *,
    term_named: Callable[[str], AttributeTerm],
    name: str | None = None,
    overwrite: bool = False,
) -> Adopted:
    """Measure an ONNX predictor on a cohort and add it to a folder of trained predictors.

    It joins as a reader, or for the loop where it brings a gradient graph, which is tried first.
    Its line of readings on true values, by which it judges, is measured here on the whole cohort.
    Which subjects it was trained on is not known, and the record says so: on those its line is too
    steep and its error too small.

    Raises:
        PredictorError: the model, its gradient or the folder cannot be used, the name is taken,
            the cohort is the one it was trained on, or cannot measure any of its attributes.
        PluginError: its gradient is of a term that is not registered.
    """
    refuse_made_samples(cohort)
    content = dict(read_description(folder))
    predictor = _only(load_onnx(source, Hardware(threads=1)), source)
    name = _valid(predictor.name if name is None else name)
    entries = _others(content["predictors"], name, folder, overwrite=overwrite)
    if predictor.description.cohort_fingerprint == cohort.fingerprint:
        raise PredictorError(
            f"{source} was trained on this very cohort, which cannot tell what it is worth on "
            "unseen subjects; give another cohort"
        )
    (found,) = score_cohort(cohort, [predictor], progress)
    subjects = [cohort.subject(sample_id) for sample_id in cohort.sample_ids]
    measured, left_out = _measured(predictor.description, found.values, subjects, source)
    description = replace(measured, name=name)
    gradient = _tried_gradient(source, predictor, description, term_named)
    if gradient is not None:
        description = gradient.description.predictor
        _write(folder / f"{name}{SUFFIX}", model_bytes(gradient.model, gradient.description))
    checksum = _write(folder / f"{name}.onnx", model_bytes(predictor.model, description))
    entry = {**description.record(), "attributes": list(description.attributes), "held_out": {}}
    adopted = {
        **content["training"].get("adopted", {}),
        name: {
            "sha256": checksum,
            "measured_on": cohort.fingerprint,
            **({} if gradient is None else {"gradient_sha256": gradient.sha256}),
        },
    }
    content["predictors"] = [*entries, entry]
    content["training"] = {**content["training"], "adopted": adopted}
    text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False)
    # Last: until then the folder is the set that it was.
    _write(folder / DESCRIPTION, (text + "\n").encode())
    return Adopted(description, left_out)


def _tried_gradient(
    source: Path,
    predictor: OnnxPredictor,
    description: Description,
    term_named: Callable[[str], AttributeTerm],
) -> OnnxGradients | None:
    """Return the gradient graph that a predictor brings, its contract for the loop; None if none.

    Raises:
        PredictorError: it does not do what is expected of it.
    """
    toml = toml_of(source)
    brought = None if toml is None else read_gradient_toml(toml)
    if brought is None:
        return None
    path, term = brought
    return try_gradient(path, predictor, replace(description, role=Role.LOOP), term_named(term))


def _valid(name: str) -> str:
    if not NAME_PATTERN.fullmatch(name):
        raise PredictorError(
            f"--name {name!r} must be 1 to 64 letters, digits, '.', '_' or '-', beginning with a "
            "letter or digit"
        )
    return name


def _only(predictors: Sequence[OnnxPredictor], source: Path) -> OnnxPredictor:
    if len(predictors) != 1:
        names = ", ".join(f"{one.name}.onnx" for one in predictors)
        raise PredictorError(f"{source} holds {len(predictors)} predictors; give one of {names}")
    return predictors[0]


def _others(
    entries: Sequence[Record], name: str, folder: Path, *, overwrite: bool
) -> Sequence[Record]:
    """Return the predictors of the folder but for an adopted one of this name."""
    for entry in entries:
        if entry["name"] == name and (entry["family"] != FAMILY or not overwrite):
            way_out = "--overwrite replaces it, or " if entry["family"] == FAMILY else ""
            raise PredictorError(
                f"{folder} has a predictor {name!r} already; {way_out}give another --name"
            )
    return [one for one in entries if one["name"] != name]


def _measured(
    description: Description,
    readings: NDArray[np.float64],
    subjects: Sequence[Subject],
    source: Path,
) -> tuple[Description, dict[str, str]]:
    """Return the description as a reader's, with its skill on the subjects, and what has none."""
    skills: dict[str, Skill] = {}
    left_out: dict[str, str] = {}
    for column, estimate in enumerate(description.estimates):
        name, read = estimate.attribute, readings[:, column]
        true = np.array([_number(one.value(name)) for one in subjects])
        _refuse_impossible(name, read, source)
        why = _why_not(true, subjects)
        if why:
            left_out[name] = why
            continue
        groups = [one.subject_id for one in subjects]
        skill = skill_of(ATTRIBUTES[name].kind, true, read, groups)
        skills[name] = replace(skill, joint=joint_response(read, _values(subjects)))
    if not skills:
        reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise PredictorError(f"the cohort cannot measure what {source} is worth ({reasons})")
    # A spread that it brings was made honest on other subjects than these.
    kept = tuple(
        replace(one, spread_column=None) for one in description.estimates if one.attribute in skills
    )
    return replace(
        description,
        role=Role.READER,
        family=FAMILY,
        estimates=kept,
        skills=skills,
        evidence=Evidence.COHORT,
    ), left_out


def _refuse_impossible(name: str, read: NDArray[np.float64], source: Path) -> None:
    attribute, typical = ATTRIBUTES[name], float(np.median(read))
    if attribute.kind == "continuous" and not attribute.allows(typical):
        raise PredictorError(
            f"{source} reads {name} {typical:.0f} off a typical sample, which no subject has "
            f"(at most {attribute.high:g} {attribute.unit}); is its unit stated as it is?"
        )


def _why_not(true: NDArray[np.float64], subjects: Sequence[Subject]) -> str:
    """Return why an attribute cannot be measured on these subjects, empty if it can."""
    value_of = {
        one.subject_id: value
        for one, value in zip(subjects, true, strict=True)
        if not np.isnan(value)
    }
    values = list(value_of.values())
    if len(values) < FEWEST_SUBJECTS:
        return f"{len(values)} subjects have it, {FEWEST_SUBJECTS} are needed"
    if len(set(values)) == 1:
        return "all subjects have the same"
    return ""


def _write(path: Path, content: bytes) -> str:
    """Write a file whole or not at all, and return its SHA-256."""
    part = path.with_name(f".{path.name}.partial")
    part.write_bytes(content)
    part.replace(path)
    return hashlib.sha256(content).hexdigest()


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _values(subjects: Sequence[Subject]) -> dict[str, NDArray[np.float64]]:
    """Return each attribute of the subjects, ``(N,)``, NaN where unknown."""
    return {
        name: np.array([_number(one.value(name)) for one in subjects])
        for name in common_attributes(subjects)
    }
