"""Targets in the words of a user: ``age_years=75``, ``age_years=+10``, ``sex=M``, ``60:80``."""

import math
from collections.abc import Mapping, Sequence

from qctkit.engine.target_draw import Limit
from qctkit.engine.targets import Asked, possible
from qctkit.errors import InputError
from qctkit.subject import ATTRIBUTES, SEX, Sex

SAME = "same"


def read_asked(words: Sequence[str]) -> Mapping[str, Asked]:
    """Return what ``--target NAME=VALUE`` options ask for, by attribute.

    Raises:
        InputError: an attribute is unknown or given twice, or its value is not possible.
    """
    asked: dict[str, Asked] = {}
    for option in words:
        name, text = _parts("--target", option, "NAME=VALUE, such as age_years=75")
        if name in asked:
            raise InputError(f"--target {option}: {name} is given twice; keep one")
        try:
            asked[name] = read_amount(name, text)
        except InputError as error:
            raise InputError(f"--target {option}: {error}") from None
    return asked


def read_amount(name: str, text: str) -> Asked:
    """Return what a text asks of an attribute; a sign makes it a change of the source's value.

    Raises:
        InputError: it is not such a value, or nobody can have it.
    """
    if name == SEX.name:
        return Asked(_sex(text))
    is_change = text.startswith(("+", "-"))
    amount = _number(name, text)
    return Asked(amount, is_change) if is_change else Asked(possible(name, amount))


def read_limits(words: Sequence[str]) -> tuple[Limit, ...]:
    """Return the limits that ``--target-where`` options put on whom a target is drawn from.

    Raises:
        InputError: an attribute is unknown, or its range is not one.
    """
    return tuple(_limit(option) for option in words)


def _limit(option: str) -> Limit:
    name, text = _parts("--target-where", option, "NAME=LOW:HIGH, such as age_years=60:80")
    if text == SAME:
        return Limit(name, same_as_source=True)
    try:
        if name == SEX.name:
            return Limit(name, _sex(text), _sex(text))
        low, colon, high = text.partition(":")
        if not colon or not (low or high):
            raise InputError(f"{name} is {text!r}; expected LOW:HIGH, LOW: or :HIGH")
        limit = Limit(
            name,
            _number(name, low) if low else -math.inf,
            _number(name, high) if high else math.inf,
        )
    except InputError as error:
        raise InputError(f"--target-where {option}: {error}") from None
    if limit.low > limit.high:
        raise InputError(f"--target-where {option}: the range is empty; give the lower end first")
    return limit


def _parts(flag: str, option: str, expected: str) -> tuple[str, str]:
    name, equals, text = (part.strip() for part in option.partition("="))
    if not equals or not text:
        raise InputError(f"{flag} {option}: expected {expected}")
    if name not in ATTRIBUTES:
        known = " or ".join(ATTRIBUTES)
        raise InputError(f"{flag} {option}: there is no attribute {name!r}; choose {known}")
    return name, text


def _sex(text: str) -> float:
    if text not in set(Sex):
        raise InputError(f"sex is {text!r}; expected F or M")
    return Sex(text).code


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{name} is {text!r}; expected a number")
    return value
