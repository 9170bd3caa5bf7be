"""The table of subjects: who was scanned, and where the scans are."""

import csv
import difflib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from qctkit.calibration import CALIBRATION_COLUMNS
from qctkit.errors import TableError
from qctkit.subject import AGE, ATTRIBUTES, CORE, SUBJECT_ID_PATTERN, WEIGHT, Attribute, Sex

REQUIRED_COLUMNS = ("subject_id", "path")
OPTIONAL_COLUMNS = (
    "sex",
    "age_years",
    "weight_kg",
    "mask",
    "mask_label",
    "series",
    "sample_id",
    *CALIBRATION_COLUMNS,
)
COLUMNS = REQUIRED_COLUMNS + OPTIONAL_COLUMNS
OTHER_NAMES = {"gender": "sex"}
SEXES = {"f": Sex.F, "female": Sex.F, "m": Sex.M, "male": Sex.M}


@dataclass(frozen=True)
class TableRow:
    """One row of a table of subjects; what an empty cell leaves open is None.

    Attributes:
        subject_id: pseudonym, or with a key any text that names the subject.
        path: the scan, existing.
        sex, age_years, weight_kg: as given.
        mask: femur mask on the scan's grid, existing.
        mask_label: name or value of the femur's label in the mask.
        series: number, from 1, of the scan among those at the path.
        sample_id: name of the sample, for subjects with several rows.
        rods_mask: mask of a phantom's rods on the scan's grid, existing.
        calibration: cells of the columns that say how the scan is calibrated, as given.
        others: attributes that the core does not know, by name.
        line: line of the table, for messages.
    """

    subject_id: str
    path: Path
    sex: Sex | None
    age_years: float | None
    weight_kg: float | None
    mask: Path | None
    line: int
    mask_label: str | None = None
    series: int | None = None
    sample_id: str | None = None
    rods_mask: Path | None = None
    calibration: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, float] = field(default_factory=dict)


def read_subject_table(path: Path, *, keyed: bool = False) -> tuple[TableRow, ...]:
    """Return the rows of a CSV table, with paths taken relative to the table.

    The columns ``subject_id`` and ``path`` are required; ``gender`` may stand for ``sex``, and an
    attribute that a plugin registers has a column of its name. A subject may have several rows if
    each has a ``sample_id``. ``keyed`` says that ids will be
    hashed, so that they may be any text and no message shows them.

    Raises:
        TableError: the table is missing, not CSV in UTF-8, or has a wrong column, row or value.
    """
    lines = table_lines(path)
    first_line, header = next(lines, (1, []))
    columns = _columns(path, first_line, header)
    rows = tuple(_row(path, line, columns, cells, keyed=keyed) for line, cells in lines)
    if not rows:
        raise TableError(f"{path}: the table has no rows; add one line per subject")
    _check_unique(path, rows)
    return rows


def table_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Give the lines of a CSV table that hold anything, with their numbers; cells are stripped.

    Raises:
        TableError: the table is missing, or not CSV in UTF-8.
    """
    if not path.is_file():
        raise TableError(f"{path}: there is no such table; check the path")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            for cells in reader:
                stripped = [cell.strip() for cell in cells]
                if any(stripped):
                    yield reader.line_num, stripped
    except UnicodeDecodeError as error:
        raise TableError(f"{path}: the table is not UTF-8 text; save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise TableError(f"{path}, line {reader.line_num}: not valid CSV ({error})") from error


def known_columns() -> tuple[str, ...]:
    """Return the columns that a table may have, those of plugins' attributes last."""
    return (*COLUMNS, *_others())


def _others() -> list[str]:
    """Return the attributes that the core does not know."""
    return [name for name in ATTRIBUTES if name not in CORE]


def _columns(path: Path, line: int, header: list[str]) -> tuple[str, ...]:
    if not header:
        raise TableError(f"{path}: the table is empty; its first line must be {','.join(COLUMNS)}")
    for separator, word in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and separator in header[0]:
            raise TableError(f"{path}: columns are separated by {word}; save it with commas")
    columns = tuple(OTHER_NAMES.get(name, name) for name in header)
    for given, name in zip(header, columns, strict=True):
        if name not in known_columns():
            raise TableError(f"{path}, line {line}: {_unknown_column(given)}")
        if columns.count(name) > 1:
            raise TableError(f"{path}, line {line}: column {name!r} is there twice; keep one")
    missing = [name for name in REQUIRED_COLUMNS if name not in columns]
    if missing:
        raise TableError(f"{path}, line {line}: column {missing[0]!r} is missing; add it")
    return columns


def _unknown_column(name: str) -> str:
    known = known_columns()
    near = difflib.get_close_matches(name.lower(), [*known, *OTHER_NAMES], n=1, cutoff=0.5)
    if near:
        return f"unknown column {name!r}; did you mean {near[0]!r}?"
    return (
        f"unknown column {name!r}; rename it to one of {', '.join(known)}, or remove it. An "
        "attribute that the core does not know comes with a plugin"
    )


def _row(
    path: Path, line: int, columns: tuple[str, ...], cells: list[str], *, keyed: bool
) -> TableRow:
    if len(cells) != len(columns):
        raise TableError(
            f"{path}, line {line}: {len(cells)} cells where the header has {len(columns)}; "
            "write one cell per column, and quote cells that hold a comma"
        )
    given = _Cells(path, line, dict(zip(columns, cells, strict=True)))
    scan = given.existing_path("path")
    if scan is None:
        raise given.error("path", "is empty; give the path of the scan")
    return TableRow(
        subject_id=given.any_id() if keyed else given.plain_id("subject_id"),
        path=scan,
        sex=given.sex(),
        age_years=given.number(AGE),
        weight_kg=given.number(WEIGHT),
        mask=given.existing_path("mask"),
        line=line,
        mask_label=given.text("mask_label") or None,
        series=given.series(),
        sample_id=given.plain_id("sample_id") if given.text("sample_id") else None,
        rods_mask=given.existing_path("rods_mask"),
        calibration={name: text for name in CALIBRATION_COLUMNS if (text := given.text(name))},
        others={
            name: value
            for name in _others()
            if (value := given.number(ATTRIBUTES[name])) is not None
        },
    )


@dataclass(frozen=True)
class _Cells:
    """The cells of one row, read with messages that say where they are."""

    table: Path
    line: int
    values: Mapping[str, str]

    def error(self, column: str, complaint: str) -> TableError:
        return TableError(f"{self.table}, line {self.line}, column {column!r}: {complaint}")

    def text(self, column: str) -> str:
        return self.values.get(column, "")

    def plain_id(self, column: str) -> str:
        value = self.values[column]
        if not SUBJECT_ID_PATTERN.fullmatch(value):
            raise self.error(
                column,
                f"{value!r} must be 1 to 64 letters, digits, '.', '_' or '-', beginning with a "
                "letter or digit",
            )
        return value

    def any_id(self) -> str:
        if not self.values["subject_id"]:
            raise self.error("subject_id", "is empty; give what names the subject")
        return self.values["subject_id"]

    def series(self) -> int | None:
        text = self.text("series")
        if text and not (text.isdecimal() and int(text) > 0):
            raise self.error(
                "series", f"{text!r} is not a whole number from 1; leave the cell empty if unsure"
            )
        return int(text) if text else None

    def sex(self) -> Sex | None:
        value = self.text("sex")
        if not value:
            return None
        if value.lower() not in SEXES:
            raise self.error("sex", f"{value!r} is not F or M; leave the cell empty if unknown")
        return SEXES[value.lower()]

    def number(self, attribute: Attribute) -> float | None:
        text = self.text(attribute.name)
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not attribute.allows(value):
            raise self.error(
                attribute.name,
                f"{text!r} is not a number that it can be ({attribute.allowed}); leave the cell "
                "empty if unknown",
            )
        return value

    def existing_path(self, column: str) -> Path | None:
        text = self.text(column)
        if not text:
            return None
        found = self.table.parent / text
        if not found.exists():
            raise self.error(column, f"{text!r} does not exist (paths are relative to the table)")
        return found


def _check_unique(path: Path, rows: tuple[TableRow, ...]) -> None:
    first_lines: dict[tuple[str, str], int] = {}
    for row in rows:
        column, value = "subject_id", row.subject_id
        if row.sample_id is not None:
            column, value = "sample_id", row.sample_id
        first = first_lines.setdefault((column, value), row.line)
        if first != row.line:
            raise TableError(
                f"{path}, line {row.line}, column {column!r}: the same as on line {first}; give "
                "each subject one row, or each row of a subject a 'sample_id' of its own"
            )
