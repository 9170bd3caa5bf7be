"""Who was scanned, and what is known about them.

An attribute that is not known is ``None``: a state that the whole toolkit understands, never a
number.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal, TypeAlias

from qctkit import schema
from qctkit.errors import InputError

Kind: TypeAlias = Literal["binary", "continuous"]

SUBJECT_ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
ATTRIBUTE_PATTERN = re.compile(r"[a-z][a-z0-9_]{0,39}")


class Sex(StrEnum):
    """Sex of a subject as recorded; coded 0 (F) and 1 (M) for predictors."""

    F = "F"
    M = "M"

    @property
    def code(self) -> float:
        """0.0 for F, 1.0 for M."""
        return float(self is Sex.M)


class Origin(StrEnum):
    """Where an attribute's value came from."""

    TABLE = "table"
    HEADER = "header"
    SIMULATED = "simulated"
    TARGET = "target"
    MISSING = "missing"


@dataclass(frozen=True)
class Attribute:
    """Something about a subject that a predictor can estimate.

    Attributes:
        name: the name used in tables, files and options; ends in its unit.
        kind: "binary" attributes are coded 0 and 1 and predicted as a logit.
        unit: unit of the value, empty when there is none.
        low, high: values outside are refused as typing errors.

    Raises:
        InputError: the name does not say the unit, or the range is none.
    """

    name: str
    kind: Kind
    unit: str
    low: float
    high: float

    def __post_init__(self) -> None:
        if self.kind not in ("binary", "continuous"):
            raise InputError(f"attribute {self.name}: kind {self.kind!r} is not binary, continuous")
        ending = re.sub("[^a-z0-9]+", "_", self.unit.lower()).strip("_")
        if not ATTRIBUTE_PATTERN.fullmatch(self.name) or (
            ending and not self.name.endswith(f"_{ending}")
        ):
            example = f", such as height_{ending}" if ending else ""
            raise InputError(
                f"attribute {self.name!r}: a name has up to 40 small letters, digits and '_', and "
                f"ends in its unit{example}"
            )
        if not self.low < self.high or (self.kind == "binary" and (self.low, self.high) != (0, 1)):
            raise InputError(
                f"attribute {self.name}: the range {self.low:g} to {self.high:g} holds no values"
                f"{'; a binary one is 0 to 1' if self.kind == 'binary' else ''}"
            )

    def allows(self, value: float) -> bool:
        """Whether somebody can have this value."""
        if self.kind == "binary":
            return value in (self.low, self.high)
        return self.low < value <= self.high

    @property
    def allowed(self) -> str:
        """The values that somebody can have, in words."""
        if self.kind == "binary":
            return "0 or 1"
        return f"more than {self.low:g} and at most {self.high:g} {self.unit}".rstrip()

    def record(self) -> Mapping[str, Any]:
        """Return the definition as JSON values; ``Attribute(**record)`` is the same again."""
        return asdict(self)


SEX = Attribute("sex", "binary", "", 0.0, 1.0)
AGE = Attribute("age_years", "continuous", "years", 0.0, 120.0)
WEIGHT = Attribute("weight_kg", "continuous", "kg", 1.0, 400.0)
CORE = tuple(attribute.name for attribute in (SEX, AGE, WEIGHT))
"""What every cohort has columns for."""

ATTRIBUTES = {attribute.name: attribute for attribute in (SEX, AGE, WEIGHT)}
"""Every attribute that this process knows by name: the core's, then those that ``know`` was told of
by plugins and by files. To be known is to have a unit and a range; which attributes a cohort *has*
is decided by its subjects (``attributes_of``), never by what is installed."""


def know(attributes: Iterable[Attribute]) -> None:
    """Make attributes known; of two ranges of one attribute the wider holds.

    Raises:
        InputError: the name is taken, or is that of another quantity.
    """
    for one in attributes:
        known = ATTRIBUTES.get(one.name, one)
        if one.name not in ATTRIBUTES and schema.is_taken(one.name):
            raise InputError(f"attribute {one.name}: the cohort file has a column of this name")
        if (one.kind, one.unit) != (known.kind, known.unit):
            raise InputError(
                f"attribute {one.name} is {one.kind} in {one.unit or 'no unit'} and also "
                f"{known.kind} in {known.unit or 'no unit'}; rename one"
            )
        low, high = min(one.low, known.low), max(one.high, known.high)
        ATTRIBUTES[one.name] = replace(known, low=low, high=high)


@dataclass(frozen=True)
class Subject:
    """A pseudonymous subject with the attributes that are known.

    ``origins`` says for each attribute where its value came from; ``others`` holds the values of
    attributes that the core does not know, by name.

    Raises:
        InputError: the id is not a plain pseudonym, a value is out of range, or an attribute is
            not known.
    """

    subject_id: str
    sex: Sex | None = None
    age_years: float | None = None
    weight_kg: float | None = None
    origins: Mapping[str, Origin] = field(default_factory=dict)
    others: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not SUBJECT_ID_PATTERN.fullmatch(self.subject_id):
            raise InputError(
                f"subject_id {self.subject_id!r} must be 1 to 64 letters, digits, '.', '_' or '-', "
                "beginning with a letter or digit"
            )
        for name in self.attributes:
            value = self.value(name)
            if value is not None and not known_attribute(name).allows(value):
                raise InputError(
                    f"{name} of subject {self.subject_id} is {value:g}; expected "
                    f"{ATTRIBUTES[name].allowed}"
                )

    @property
    def attributes(self) -> tuple[str, ...]:
        """The core's attributes, known or not, then the others that are known, in order."""
        return (*CORE, *sorted(self.others))

    def value(self, attribute: str) -> float | None:
        """Return an attribute as a number (sex coded 0 or 1), or None when it is not known."""
        stated = self.stated(attribute)
        return stated.code if isinstance(stated, Sex) else stated

    def stated(self, attribute: str) -> Sex | float | None:
        """Return an attribute as files and people state it (sex F or M), None when not known."""
        if attribute not in CORE:
            return self.others.get(attribute)
        value: Sex | float | None = getattr(self, attribute)
        return value

    def with_values(self, values: Mapping[str, float], origin: Origin) -> "Subject":
        """Return the subject with these values (sex coded 0 or 1) in place of its own."""
        core: dict[str, Any] = {name: values[name] for name in CORE if name in values}
        if SEX.name in core:
            core[SEX.name] = Sex.M if core[SEX.name] > 0.5 else Sex.F
        return replace(
            self,
            **core,
            others={**self.others, **{name: values[name] for name in values if name not in CORE}},
            origins={**self.origins, **dict.fromkeys(values, origin)},
        )

    def origin(self, attribute: str) -> Origin:
        """Return where the attribute's value came from."""
        if self.stated(attribute) is None:
            return Origin.MISSING
        return self.origins.get(attribute, Origin.TABLE)


def known_attribute(name: str) -> Attribute:
    """Return an attribute by name.

    Raises:
        InputError: nothing that is installed or was read defines it.
    """
    if name not in ATTRIBUTES:
        raise InputError(
            f"there is no attribute {name!r} (known: {', '.join(ATTRIBUTES)}); one that the core "
            "does not know comes with a plugin, see `qctkit plugins list`"
        )
    return ATTRIBUTES[name]


def attributes_of(subjects: Iterable[Subject]) -> tuple[str, ...]:
    """Return the attributes that subjects have: the core's, then others that any of them has."""
    others = {name for one in subjects for name in one.others}
    return (*CORE, *sorted(others))


def common_attributes(subjects: Sequence[Subject]) -> tuple[str, ...]:
    """Return the core's attributes, then the others that at least half of the subjects have.

    A regression on attributes takes the subjects who have all of them: one that few have would
    leave out nearly everybody.
    """
    return tuple(
        name
        for name in attributes_of(subjects)
        if name in CORE or 2 * sum(name in one.others for one in subjects) >= len(subjects)
    )
