"""What an ONNX predictor says of itself: one record, in its file's metadata and beside it.

Every field of the record is one key of the file's ``metadata_props``, ``qctkit.<field>``, with a
JSON text as its value; docs/onnx.md lists them. A file that carries them can be scored alone.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qctkit.cohort import Record
from qctkit.contracts import Role
from qctkit.errors import InputError, PredictorError
from qctkit.predictors.skill import Skill
from qctkit.subject import AGE, ATTRIBUTES, CORE, SEX, WEIGHT, Attribute, know, known_attribute
from qctkit.view import View, spacing_of
from qctkit.window import Window

FORMAT = "qctkit-onnx 1"
PREFIX = "qctkit."
UNSTATED = "not stated"

PROBABILITY = "probability"
FACTORS: Mapping[str, Mapping[str, float]] = {
    SEX.name: {"logit": 1.0, PROBABILITY: 1.0},
    AGE.name: {"years": 1.0, "months": 1.0 / 12.0, "days": 1.0 / 365.25},
    WEIGHT.name: {"kg": 1.0, "g": 1e-3, "lb": 0.45359237},
}
"""Units that a graph may answer in, and what turns them into years and kg; an international pound
is 0.45359237 kg. A probability of being male becomes a logit. Other attributes have their own unit
alone, see ``factors_of``."""

SMALLEST_PROBABILITY = 1e-6

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
SIZES = (4, 512)
"""Points of a view along one axis: fewer show no femur, more do not fit into memory."""

SPACINGS_MM = (0.2, 20.0)
COLUMNS = (0, 999)


def factors_of(attribute: str) -> Mapping[str, float]:
    """Return the units that a graph may answer in, the attribute's own first, and their factors.

    Raises:
        InputError: the attribute is not known.
    """
    known = known_attribute(attribute)
    if attribute in FACTORS:
        return FACTORS[attribute]
    return FACTORS[SEX.name] if known.kind == "binary" else {known.unit: 1.0}


class Channel(StrEnum):
    """What one input channel of the graph holds."""

    HU = "hu"
    WINDOWED = "windowed"
    FEMUR = "femur"


class Sees(StrEnum):
    """How much of the view reaches the estimates.

    ``whole``: everything. ``femur``: qctkit shows soft tissue outside the femur's mask before the
    graph. ``femur-in-graph``: the graph is given everything and ignores what is outside itself.
    """

    WHOLE = "whole"
    FEMUR = "femur"
    FEMUR_IN_GRAPH = "femur-in-graph"


class Evidence(StrEnum):
    """Where a predictor's skill was measured."""

    HELD_OUT = "subjects held out of its training"
    COHORT = "subjects of a cohort, of which it may have been trained on some"
    NONE = "nowhere"


@dataclass(frozen=True)
class Estimate:
    """One attribute in the graph's output: its unit there, its column, and that of its spread.

    A spread is a standard deviation in the same unit; None where the graph gives none.
    """

    attribute: str
    unit: str
    column: int
    spread_column: int | None = None

    def __post_init__(self) -> None:
        factors = factors_of(self.attribute)
        if self.unit not in factors:
            known = ", ".join(factors)
            raise InputError(f"unit {self.unit!r} of {self.attribute} is not known; known: {known}")
        columns = [one for one in (self.column, self.spread_column) if one is not None]
        if not all(COLUMNS[0] <= one <= COLUMNS[1] for one in columns):
            raise InputError(f"column {columns} of {self.attribute} is not within {COLUMNS}")

    @property
    def last_column(self) -> int:
        """The last of its columns."""
        return max(self.column, -1 if self.spread_column is None else self.spread_column)

    def in_own_unit(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the graph's values in years, kg or as a logit.

        Raises:
            InputError: a value that is said to be a probability is not in [0, 1].
        """
        if self.unit != PROBABILITY:
            return values * factors_of(self.attribute)[self.unit]
        if ((values < 0.0) | (values > 1.0)).any():
            worst = values[np.argmax(np.abs(values - 0.5))]
            raise InputError(f"{self.attribute} is {worst:g}, which is no probability")
        kept = np.clip(values, SMALLEST_PROBABILITY, 1.0 - SMALLEST_PROBABILITY)
        return np.asarray(np.log(kept / (1.0 - kept)))


@dataclass(frozen=True)
class Description:
    """An ONNX predictor's contract.

    Attributes:
        family: the family that trained it; "onnx" where it came as a file.
        estimates: the attributes that it reads, with unit and column.
        view: the grid that it looks at, and the window of its windowed channel.
        channels: of the graph's input ``(N, C, D, H, W)`` float32, in order.
        sees: how much of the view reaches the estimates.
        input_name, output_name: the graph's.
        licence: of the weights.
        cohort_fingerprint: of the cohort that it was trained on, empty when not known.
        trained_with, exported_with: versions of the libraries.
        slice_wise: whether an estimate is the mean over axial slices, weighed by the femur that
            each shows; such a view is read in parts.
        skills: figures by attribute, measured on what ``evidence`` says.
    """

    name: str
    role: Role
    family: str
    estimates: tuple[Estimate, ...]
    view: View
    channels: tuple[Channel, ...]
    sees: Sees
    input_name: str
    output_name: str
    licence: str = UNSTATED
    cohort_fingerprint: str = ""
    trained_with: Mapping[str, str] = field(default_factory=dict)
    exported_with: Mapping[str, str] = field(default_factory=dict)
    skills: Mapping[str, Skill] = field(default_factory=dict)
    evidence: Evidence = Evidence.NONE
    slice_wise: bool = False

    def __post_init__(self) -> None:
        if not NAME_PATTERN.fullmatch(self.name):
            raise InputError(
                f"name {self.name!r} must be 1 to 64 letters, digits, '.', '_' or '-', beginning "
                "with a letter or digit: it names files"
            )
        if not all(SIZES[0] <= size <= SIZES[1] for size in self.view.shape):
            raise InputError(f"the view's shape {self.view.shape} is not within {SIZES}")
        if not all(SPACINGS_MM[0] <= one <= SPACINGS_MM[1] for one in self.view.spacing_mm):
            raise InputError(
                f"the view's spacing_mm {self.view.spacing_mm} is not within {SPACINGS_MM}"
            )
        if not self.estimates or not self.channels:
            raise InputError("a predictor needs at least one attribute and one channel")

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of the attributes, in the order of ``estimates``."""
        return tuple(one.attribute for one in self.estimates)

    def record(self) -> Record:
        """Return everything as JSON values, with what defines attributes unknown to the core."""
        others = [name for name in self.attributes if name not in CORE]
        defined = {"defines": [dict(ATTRIBUTES[name].record()) for name in others]}
        return {**asdict(self), **(defined if others else {})}

    def metadata(self) -> dict[str, str]:
        """Return what an ONNX file's ``metadata_props`` hold."""
        fields = {"format": FORMAT, **self.record()}
        return {
            PREFIX + name: json.dumps(value, sort_keys=True, allow_nan=False)
            for name, value in fields.items()
        }

    @classmethod
    def from_record(cls, record: Record) -> "Description":
        """Return the description that ``record`` gave.

        Raises:
            PredictorError: a field is missing or holds what it cannot.
        """
        try:
            know(Attribute(**one) for one in record.get("defines", ()))
            return cls(
                name=str(record["name"]),
                role=Role(record["role"]),
                family=str(record["family"]),
                estimates=tuple(Estimate(**one) for one in record["estimates"]),
                view=view_of(record["view"]),
                channels=tuple(Channel(one) for one in record["channels"]),
                sees=Sees(record["sees"]),
                input_name=str(record["input_name"]),
                output_name=str(record["output_name"]),
                licence=str(record["licence"]),
                cohort_fingerprint=str(record["cohort_fingerprint"]),
                trained_with=dict(record["trained_with"]),
                exported_with=dict(record["exported_with"]),
                skills={name: _skill(one) for name, one in record["skills"].items()},
                evidence=Evidence(record["evidence"]),
                slice_wise=record.get("slice_wise") is True,
            )
        except (KeyError, TypeError, ValueError, AttributeError, InputError) as error:
            raise PredictorError(f"its description is damaged ({error})") from error

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> "Description":
        """Return the description in an ONNX file's ``metadata_props``.

        Raises:
            PredictorError: there is none, or it is damaged or of another format.
        """
        found = metadata.get(PREFIX + "format")
        if found is None:
            raise PredictorError(
                "the file does not describe itself; put a description in TOML beside it "
                "(docs/onnx.md says how)"
            )
        if found != json.dumps(FORMAT):
            raise PredictorError(f"its description has format {found}, expected {FORMAT}")
        try:
            record = {
                name.removeprefix(PREFIX): json.loads(text)
                for name, text in metadata.items()
                if name.startswith(PREFIX)
            }
        except ValueError as error:
            raise PredictorError(f"its description is damaged ({error})") from error
        return cls.from_record(record)


def _skill(record: Record) -> Skill:
    skill = Skill.from_record(record)
    numbers = [*skill.figures.values(), *asdict(skill.response).values()]
    if skill.joint is not None:
        numbers += [*skill.joint.slopes.values(), skill.joint.residual_sd]
    if not all(math.isfinite(one) for one in numbers):
        raise ValueError("a figure of its skill is no number")
    return skill


def view_record(view: View) -> Record:
    """Return a view as JSON values."""
    return asdict(view)


def view_of(record: Any) -> View:
    """Return the view that ``view_record`` gave; a single spacing holds along all axes."""
    d, h, w = record["shape"]
    return View((d, h, w), spacing_of(record["spacing_mm"]), Window(**record["window"]))
