"""A predictor that someone else trained: an ONNX file and a description in TOML, no Python.

docs/onnx.md shows a whole description. Every table and key is known here; anything else, and any
value that is not allowed, is refused with the file, the key, the value and what is allowed.
"""

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from qctkit.contracts import Role
from qctkit.errors import InputError, PredictorError
from qctkit.predictors.onnx_description import (
    COLUMNS,
    NAME_PATTERN,
    SIZES,
    SPACINGS_MM,
    Channel,
    Description,
    Estimate,
    Sees,
    factors_of,
)
from qctkit.subject import ATTRIBUTES
from qctkit.view import View, spacing_of
from qctkit.window import DEFAULT_WINDOW, Window

FAMILY = "onnx"
"""What stands for a family where a predictor came as a file."""

KEYS = ("name", "model", "licence", "attributes", "view", "graph", "gradient")
ATTRIBUTE_KEYS = ("name", "unit", "column")
VIEW_KEYS = ("shape", "spacing_mm", "channels", "sees", "window_hu")
GRAPH_KEYS = ("input", "output")
GRADIENT_KEYS = ("model", "attribute_term")

WINDOWS_HU = (-32768.0, 32767.0)

_Choice = TypeVar("_Choice", bound=StrEnum)


def read_toml(path: Path) -> tuple[Path, Description]:
    """Return the model file that a description names, and the description.

    Raises:
        PredictorError: the file cannot be read, or a key or value of it is not allowed.
    """
    table = _read(path)
    name = table.text("name")
    if not NAME_PATTERN.fullmatch(name):
        raise table.wrong("name", name, "1 to 64 letters, digits, '.', '_' or '-'")
    view, graph = table.table("view", VIEW_KEYS), table.table("graph", GRAPH_KEYS)
    return _model_beside(path, table), Description(
        name=name,
        role=Role.READER,
        family=FAMILY,
        estimates=_estimates(table),
        view=_view(view),
        channels=tuple(view.choices("channels", Channel)),
        sees=_sees(view),
        input_name=graph.text("input"),
        output_name=graph.text("output"),
        licence=table.text("licence"),
    )


def read_gradient_toml(path: Path) -> tuple[Path, str] | None:
    """Return the gradient graph that a description names and its attribute term, if it has one.

    Raises:
        PredictorError: the file cannot be read, or a key or value of it is not allowed.
    """
    table = _read(path)
    if not table.has("gradient"):
        return None
    gradient = table.table("gradient", GRADIENT_KEYS)
    return _model_beside(path, gradient), gradient.text("attribute_term")


def _read(path: Path) -> "_Table":
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PredictorError(f"{path} cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PredictorError(f"{path} is not TOML: {error}") from error
    return _Table(path, content, KEYS)


def _model_beside(path: Path, table: "_Table") -> Path:
    model = table.text("model")
    if Path(model).name != model or not model.endswith(".onnx"):
        raise table.wrong("model", model, "the name of an .onnx file in the same folder")
    return path.parent / model


class _Table:
    """A table of the file with the keys that it may have.

    Raises:
        PredictorError: it has another key; a misspelt one must not pass in silence.
    """

    def __init__(
        self, path: Path, content: Mapping[str, Any], known: Sequence[str], prefix: str = ""
    ) -> None:
        self._path = path
        self._content = content
        self._prefix = prefix
        for key in content:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise PredictorError(
                    f"{path}: {prefix}{key} is not known; known: {', '.join(known)}{hint}"
                )

    def wrong(self, key: str, value: object, allowed: str) -> PredictorError:
        """Return the error that names file, key, value and what is allowed."""
        return PredictorError(f"{self._path}: {self._prefix}{key} is {value!r}; allowed: {allowed}")

    def has(self, key: str) -> bool:
        return key in self._content

    def text(self, key: str) -> str:
        value = self._value(key, "a text")
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(key, value, "a text that is not empty")
        return value

    def whole(self, key: str, limits: tuple[int, int]) -> int:
        return int(self._number(key, self._value(key, "a whole number"), limits, int))

    def wholes(self, key: str, count: int, limits: tuple[int, int]) -> list[int]:
        return [int(self._number(key, one, limits, int)) for one in self._values(key, count)]

    def number(self, key: str, limits: tuple[float, float]) -> float:
        return self._number(key, self._value(key, "a number"), limits, int | float)

    def number_or_numbers(
        self, key: str, count: int, limits: tuple[float, float]
    ) -> float | list[float]:
        if isinstance(self._value(key, f"a number, or {count} of them"), list):
            return self.numbers(key, count, limits)
        return self.number(key, limits)

    def numbers(self, key: str, count: int, limits: tuple[float, float]) -> list[float]:
        return [self._number(key, one, limits, int | float) for one in self._values(key, count)]

    def choice(self, key: str, kind: type[_Choice]) -> _Choice:
        return self._chosen(key, self._value(key, _listed(kind)), kind)

    def choices(self, key: str, kind: type[_Choice]) -> list[_Choice]:
        values = self._value(key, f"a list of {_listed(kind)}")
        if not isinstance(values, list) or not values or len(values) != len(set(map(str, values))):
            raise self.wrong(key, values, f"a list of {_listed(kind)}, each at most once")
        return [self._chosen(key, value, kind) for value in values]

    def table(self, key: str, known: Sequence[str]) -> "_Table":
        value = self._value(key, f"a table with {', '.join(known)}")
        if not isinstance(value, dict):
            raise self.wrong(key, value, f"a table with {', '.join(known)}")
        return _Table(self._path, value, known, f"{self._prefix}{key}.")

    def tables(self, key: str, known: Sequence[str]) -> "list[_Table]":
        values = self._value(key, f"one [[{key}]] for each attribute")
        if not isinstance(values, list) or not all(isinstance(one, dict) for one in values):
            raise self.wrong(key, values, f"one [[{key}]] for each attribute")
        return [
            _Table(self._path, one, known, f"{self._prefix}{key}[{number}].")
            for number, one in enumerate(values)
        ]

    def _value(self, key: str, expected: str) -> Any:
        if key not in self._content:
            raise PredictorError(
                f"{self._path}: {self._prefix}{key} is missing; expected {expected}"
            )
        return self._content[key]

    def _values(self, key: str, count: int) -> list[Any]:
        values = self._value(key, f"a list of {count} numbers")
        if not isinstance(values, list) or len(values) != count:
            raise self.wrong(key, values, f"a list of {count} numbers")
        return values

    def _number(self, key: str, value: Any, limits: tuple[float, float], kind: Any) -> float:
        low, high = limits
        # NaN fails the comparison too.
        if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
            whole = "whole numbers from " if kind is int else ""
            raise self.wrong(key, self._content[key], f"{whole}{low:g} to {high:g}")
        return float(value)

    def _chosen(self, key: str, value: Any, kind: type[_Choice]) -> _Choice:
        try:
            return kind(value)
        except ValueError as error:
            raise self.wrong(key, value, _listed(kind)) from error


def _estimates(table: _Table) -> tuple[Estimate, ...]:
    estimates = []
    for position, entry in enumerate(table.tables("attributes", ATTRIBUTE_KEYS)):
        attribute, unit = entry.text("name"), entry.text("unit")
        if attribute not in ATTRIBUTES:
            raise entry.wrong("name", attribute, ", ".join(ATTRIBUTES))
        if unit not in factors_of(attribute):
            raise entry.wrong("unit", unit, ", ".join(factors_of(attribute)))
        column = entry.whole("column", COLUMNS) if entry.has("column") else position
        estimates.append(Estimate(attribute, unit, column))
    for values in ([one.attribute for one in estimates], [one.column for one in estimates]):
        if not values or len(set(values)) != len(values):
            raise table.wrong("attributes", values, "at least one; each name and column once")
    return tuple(estimates)


def _view(table: _Table) -> View:
    d, h, w = table.wholes("shape", 3, SIZES)
    spacing_mm = spacing_of(table.number_or_numbers("spacing_mm", 3, SPACINGS_MM))
    if Channel.WINDOWED not in table.choices("channels", Channel) and not table.has("window_hu"):
        return View((d, h, w), spacing_mm, DEFAULT_WINDOW)
    low, high = table.numbers("window_hu", 2, WINDOWS_HU)
    try:
        return View((d, h, w), spacing_mm, Window(low, high))
    except InputError as error:
        raise table.wrong("window_hu", [low, high], "[low, high] with high above low") from error


def _sees(table: _Table) -> Sees:
    sees = table.choice("sees", Sees)
    if sees is Sees.FEMUR_IN_GRAPH and Channel.FEMUR not in table.choices("channels", Channel):
        raise table.wrong("sees", sees.value, 'that only with "femur" among the channels')
    return sees


def _listed(kind: type[StrEnum]) -> str:
    return ", ".join(f'"{one.value}"' for one in kind)
