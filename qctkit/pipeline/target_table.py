"""A table of explicit targets."""

import csv
import io
from pathlib import Path

from qctkit.engine.targets import Target
from qctkit.errors import TableError
from qctkit.store.reader import CohortFile
from qctkit.subject import ATTRIBUTES, SEX, Sex

COLUMNS = ("source_subject_id", *ATTRIBUTES)


def read_targets(path: Path, cohort: CohortFile) -> tuple[Target, ...]:
    """Return one target a row; an empty cell keeps the source's value.

    Raises:
        TableError: the table is missing, or a column, subject or value is wrong (line named).
    """
    if not path.is_file():
        raise TableError(f"{path} does not exist or is not a file")
    sample_of = {cohort.subject(one).subject_id: one for one in reversed(cohort.sample_ids)}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise TableError(f"{path} is not UTF-8 text; save it as CSV in UTF-8") from error
    with io.StringIO(text, newline="") as file:
        rows = csv.DictReader(file)
        unknown = set(rows.fieldnames or ()) - set(COLUMNS)
        if unknown or COLUMNS[0] not in (rows.fieldnames or ()):
            raise TableError(
                f"{path}: expected the columns {', '.join(COLUMNS)}, got "
                f"{', '.join(rows.fieldnames or ()) or 'none'}"
            )
        targets = tuple(_target(f"{path}, line {rows.line_num}", row, sample_of) for row in rows)
    if not targets:
        raise TableError(f"{path} has no rows")
    return targets


def _target(where: str, row: dict[str, str | None], sample_of: dict[str, str]) -> Target:
    source = (row[COLUMNS[0]] or "").strip()
    if source not in sample_of:
        raise TableError(f"{where}: source_subject_id {source!r} is not in the cohort")
    cells = {name: (row.get(name) or "").strip() for name in ATTRIBUTES}
    values = {name: _value(where, name, text) for name, text in cells.items() if text}
    return Target(sample_of[source], values)


def _value(where: str, name: str, text: str) -> float:
    attribute = ATTRIBUTES[name]
    if name == SEX.name:
        if text not in {"F", "M"}:
            raise TableError(f"{where}: sex is {text!r}; expected F or M")
        return Sex(text).code
    try:
        value = float(text)
    except ValueError:
        raise TableError(f"{where}: {name} is {text!r}; expected a number") from None
    if not attribute.low < value <= attribute.high:
        raise TableError(
            f"{where}: {name} is {value:g}; expected more than {attribute.low:g} and at most "
            f"{attribute.high:g}"
        )
    return value
