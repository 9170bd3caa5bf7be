"""Who was scanned, and what is known about them.

An attribute that is not known is ``None``: a state that the whole toolkit understands, never a
number.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, TypeAlias

from qctkit.errors import InputError

Kind: TypeAlias = Literal["binary", "continuous"]

SUBJECT_ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


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
    """

    name: str
    kind: Kind
    unit: str
    low: float
    high: float


SEX = Attribute("sex", "binary", "", 0.0, 1.0)
AGE = Attribute("age_years", "continuous", "years", 0.0, 120.0)
WEIGHT = Attribute("weight_kg", "continuous", "kg", 1.0, 400.0)
ATTRIBUTES = {attribute.name: attribute for attribute in (SEX, AGE, WEIGHT)}


@dataclass(frozen=True)
class Subject:
    """A pseudonymous subject with the attributes that are known.

    ``origins`` says for each attribute where its value came from.

    Raises:
        InputError: the id is not a plain pseudonym, or an age or weight is out of range.
    """

    subject_id: str
    sex: Sex | None = None
    age_years: float | None = None
    weight_kg: float | None = None
    origins: dict[str, Origin] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not SUBJECT_ID_PATTERN.fullmatch(self.subject_id):
            raise InputError(
                f"subject_id {self.subject_id!r} must be 1 to 64 letters, digits, '.', '_' or '-', "
                "beginning with a letter or digit"
            )
        for attribute in (AGE, WEIGHT):
            value = getattr(self, attribute.name)
            if value is not None and not attribute.low < value <= attribute.high:
                raise InputError(
                    f"{attribute.name} of subject {self.subject_id} is {value:g}; expected more "
                    f"than {attribute.low:g} and at most {attribute.high:g} {attribute.unit}"
                )

    def value(self, attribute: str) -> float | None:
        """Return an attribute as a number (sex coded 0 or 1), or None when it is not known."""
        if attribute == SEX.name:
            return None if self.sex is None else self.sex.code
        value: float | None = getattr(self, attribute)
        return value

    def origin(self, attribute: str) -> Origin:
        """Return where the attribute's value came from."""
        if self.value(attribute) is None:
            return Origin.MISSING
        return self.origins.get(attribute, Origin.TABLE)
