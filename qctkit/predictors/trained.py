"""Trained predictors: frozen modules with what is known of them, and how they lie on disk.

A folder holds ``predictors.json`` and one ``<name>.safetensors`` a predictor. Nothing is ever
unpickled.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from qctkit.cohort import Record
from qctkit.contracts import PredictorFamily, Role
from qctkit.errors import PredictorError
from qctkit.predictors.configuration import configured
from qctkit.predictors.driving import driving
from qctkit.predictors.gradient_description import SUFFIX
from qctkit.predictors.onnx_description import view_of, view_record
from qctkit.predictors.onnx_toml import FAMILY
from qctkit.predictors.skill import Skill
from qctkit.predictors.spread import PREFIX, Spread, WithSpread
from qctkit.subject import ATTRIBUTES, CORE, Attribute, know
from qctkit.view import View

if TYPE_CHECKING:
    from qctkit.predictors.gradient_onnx import OnnxGradients

DESCRIPTION = "predictors.json"
FORMAT = "qctkit-predictors"
FORMAT_VERSION = 1


FOLD = "fold-{}/"
"""Before the tensors of a fold's module in that file."""


@dataclass(frozen=True, eq=False)
class Fold:
    """A predictor as it was fitted without some subjects, of the ids ``left_out``."""

    left_out: frozenset[str]
    module: nn.Module

    def __post_init__(self) -> None:
        self.module.eval().requires_grad_(False)


@dataclass(frozen=True, eq=False)
class TrainedPredictor:
    """A frozen module with its contract and its out-of-fold skill.

    Attributes:
        configuration: what differs from the family as it is registered.
        attributes: what the columns of its estimates are.
        skills: out-of-fold figures by attribute.
        held_out: out-of-fold readings by subject: ``{sample_id: {attribute: reading}}``.
        curves: of a network just trained: training and held-out loss by epoch, ``(E, 2)``, of each
            network of each fold; not kept beside the weights.
        spread: standard deviations of its readings; None where they were not measured.
        held_out_spreads: of a predictor just trained: those of the held-out readings by attribute,
            in the cohort's order; not kept beside the weights.
        folds: of one that may drive the loop: as it was fitted in each fold of the
            cross-validation.
        gradient: the graph by which one that came as an ONNX file drives the loop; None for one
            that only reads, or that PyTorch has a gradient of.
    """

    name: str
    family: str
    role: Role
    attributes: tuple[str, ...]
    view: View
    module: nn.Module
    skills: Mapping[str, Skill]
    held_out: Mapping[str, Mapping[str, float]]
    configuration: Record = field(default_factory=dict)
    curves: Sequence[Sequence[Sequence[float]]] = ()
    spread: Spread | None = None
    held_out_spreads: Mapping[str, Sequence[float]] = field(default_factory=dict)
    folds: tuple[Fold, ...] = ()
    gradient: "OnnxGradients | None" = None

    def __post_init__(self) -> None:
        self.module.eval().requires_grad_(False)

    def __call__(self, images: Tensor) -> Tensor:
        """Return estimates ``(N, A)`` of images ``(N, 2, D, H, W)`` (HU, femur share)."""
        estimates: Tensor = self.module(images)
        return estimates

    @cached_property
    def driving(self) -> nn.Module:
        """The module as the loop runs it: the same readings, with a quicker gradient."""
        return driving(self.module)

    def without(self, subject_id: str) -> tuple[nn.Module, ...]:
        """Return the modules that never saw a subject, but were fitted as this one was.

        Of a subject of the training cohort that is one; of any other all folds' are.
        """
        own = tuple(one.module for one in self.folds if subject_id in one.left_out)
        return own or tuple(one.module for one in self.folds)

    @property
    def answering(self) -> nn.Module:
        """The module that gives estimates and, where they were measured, spreads beside them."""
        return self.module if self.spread is None else WithSpread(self.module, self.spread)

    def weights(self) -> dict[str, Tensor]:
        """Return the tensors of the module, of its folds' and of its spread."""
        tensors = dict(self.module.state_dict())
        for number, fold in enumerate(self.folds):
            found = fold.module.state_dict().items()
            tensors |= {FOLD.format(number) + name: values for name, values in found}
        if self.spread is not None:
            found = self.spread.state_dict().items()
            tensors |= {PREFIX + name: values for name, values in found}
        return tensors

    def record(self) -> Record:
        """Return everything but the weights as JSON values."""
        return {
            "name": self.name,
            "family": self.family,
            "configuration": dict(self.configuration),
            "role": self.role,
            "attributes": list(self.attributes),
            "view": view_record(self.view),
            "skills": {name: skill.record() for name, skill in self.skills.items()},
            "held_out": self.held_out,
            "folds": [sorted(one.left_out) for one in self.folds],
        }


@dataclass(frozen=True, eq=False)
class PredictorSet:
    """The predictors that one training gave.

    Attributes:
        skipped: attributes that the cohort could not teach, and why.
        training: cohort fingerprint, subjects, seed, folds and versions, for the record.
    """

    predictors: tuple[TrainedPredictor, ...]
    skipped: Mapping[str, str]
    training: Record

    def of_role(self, role: Role) -> tuple[TrainedPredictor, ...]:
        """Return the predictors of a role."""
        return tuple(one for one in self.predictors if one.role is role)

    def named(self, name: str) -> TrainedPredictor:
        """Return one predictor.

        Raises:
            PredictorError: there is none of that name.
        """
        for predictor in self.predictors:
            if predictor.name == name:
                return predictor
        known = ", ".join(predictor.name for predictor in self.predictors)
        raise PredictorError(
            f"the trained predictors have no {name!r} (they are: {known}); train again with "
            "`qctkit train`"
        )

    def shared_view(self, names: Sequence[str]) -> View:
        """Return the view that the predictors of these names share.

        Raises:
            PredictorError: there is none of a name, or they see different grids.
        """
        views = {self.named(name).view for name in names}
        if len(views) != 1:
            raise PredictorError(
                f"{', '.join(names)} see different grids; predictors that drive one optimisation "
                "must share theirs"
            )
        return views.pop()

    def _defines(self) -> Record:
        """Return the definitions of what is read and the core does not know."""
        others = sorted({a for one in self.predictors for a in one.attributes} - {*CORE})
        return {"defines": [ATTRIBUTES[name].record() for name in others]} if others else {}

    def save(self, folder: Path) -> None:
        """Write weights and description below an existing folder; the description comes last."""
        for predictor in self.predictors:
            if predictor.family == FAMILY:
                predictor.module.save(folder / f"{predictor.name}.onnx")  # type: ignore[operator]
                if predictor.gradient is not None:
                    predictor.gradient.save(folder / f"{predictor.name}{SUFFIX}")
                continue
            weights = {name: t.contiguous() for name, t in predictor.weights().items()}
            save_file(weights, folder / f"{predictor.name}.safetensors")
        description = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "predictors": [predictor.record() for predictor in self.predictors],
            "skipped": dict(self.skipped),
            "training": self.training,
            **self._defines(),
        }
        text = json.dumps(description, indent=1, sort_keys=True, allow_nan=False)
        (folder / DESCRIPTION).write_text(text + "\n", encoding="utf-8")


def load_predictors(folder: Path, family_named: Callable[[str], PredictorFamily]) -> PredictorSet:
    """Return the predictors that a folder holds.

    Raises:
        PredictorError: the folder or a file of it is missing, damaged or of another format.
    """
    description = read_description(folder)
    try:
        know(Attribute(**one) for one in description.get("defines", ()))
        predictors = tuple(
            _predictor(one, folder, family_named) for one in description["predictors"]
        )
        return PredictorSet(predictors, description["skipped"], description["training"])
    except (KeyError, TypeError, ValueError) as error:
        raise PredictorError(f"{folder / DESCRIPTION} is damaged ({error}); train again") from error


def _predictor(
    entry: Record, folder: Path, family_named: Callable[[str], PredictorFamily]
) -> TrainedPredictor:
    if entry["family"] == FAMILY:
        return _from_file(folder / f"{entry['name']}.onnx")
    view = view_of(entry["view"])
    family = configured(family_named(entry["family"]), entry.get("configuration", {}))
    attributes = entry["attributes"]
    module = family.build(attributes, view)
    folds = tuple(
        Fold(frozenset(left_out), family.build(attributes, view))
        for left_out in entry.get("folds", ())
    )
    path = folder / f"{entry['name']}.safetensors"
    spread = _load_weights(module, folds, attributes, path)
    return TrainedPredictor(
        name=entry["name"],
        family=entry["family"],
        role=Role(entry["role"]),
        attributes=tuple(entry["attributes"]),
        view=view,
        module=module,
        skills={name: Skill.from_record(one) for name, one in entry["skills"].items()},
        held_out=entry["held_out"],
        configuration=entry.get("configuration", {}),
        spread=spread,
        folds=folds,
    )


def _from_file(path: Path) -> TrainedPredictor:
    """Return a predictor that came as an ONNX file: a reader, unless it brought its gradient."""
    from qctkit.predictors.gradient_onnx import load_gradients  # ONNX Runtime: only where needed
    from qctkit.predictors.onnx_loading import load_described
    from qctkit.predictors.onnx_module import OnnxModule
    from qctkit.predictors.onnx_scoring import Hardware

    module = OnnxModule(load_described(path, Hardware(threads=1)))
    told = module.predictor.description
    if set(told.skills) != set(told.attributes):
        raise PredictorError(f"{path} was not measured; add it with `qctkit adopt`")
    graph = None
    if told.role is Role.LOOP:
        graph = load_gradients(path.with_name(f"{told.name}{SUFFIX}"), Hardware(threads=1))
    return TrainedPredictor(
        name=told.name,
        family=FAMILY,
        role=told.role,
        attributes=told.attributes,
        view=told.view,
        module=module,
        skills=told.skills,
        held_out={},
        gradient=graph,
    )


def read_description(folder: Path) -> Record:
    """Return what ``predictors.json`` says.

    Raises:
        PredictorError: it is missing, damaged or of another format.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        raise PredictorError(
            f"{folder} holds no {DESCRIPTION}; make predictors with `qctkit train`"
        )
    try:
        description: Record = json.loads(path.read_text(encoding="utf-8"))
        found = description["format"], description["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise PredictorError(f"{path} is damaged ({error}); train again") from error
    if found != (FORMAT, FORMAT_VERSION):
        raise PredictorError(f"{path} has format {found}, expected {FORMAT} {FORMAT_VERSION}")
    return description


def _load_weights(
    module: nn.Module, folds: Sequence[Fold], attributes: Sequence[str], path: Path
) -> Spread | None:
    """Load modules in place and return the spread, None where the file holds none."""
    try:
        tensors = load_file(path)
        found = _taken(tensors, PREFIX)
        for number, fold in enumerate(folds):
            fold.module.load_state_dict(_taken(tensors, FOLD.format(number)))
        module.load_state_dict(tensors)
        if not found:
            return None
        spread = Spread(attributes, len(found.get("leverage.centre", ())))
        spread.load_state_dict(found)
        return spread.eval()
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise PredictorError(f"{path} cannot be loaded ({error}); train again") from error


def estimates_by_attribute(
    predictors: Sequence[TrainedPredictor], images: Tensor
) -> dict[str, dict[str, list[float]]]:
    """Return ``{predictor: {attribute: readings}}`` of images, without gradients."""
    with torch.no_grad():
        return {
            one.name: {
                attribute: [float(value) for value in column]
                for attribute, column in zip(one.attributes, one(images).T, strict=True)
            }
            for one in predictors
        }


def _taken(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Take the tensors of a prefix out of others, and return them without it."""
    names = [name for name in tensors if name.startswith(prefix)]
    return {name.removeprefix(prefix): tensors.pop(name) for name in names}
