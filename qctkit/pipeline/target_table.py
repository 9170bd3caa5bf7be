"""A table of explicit targets."""

from pathlib import Path

from qctkit.engine.targets import Target
from qctkit.errors import InputError, TableError
from qctkit.pipeline.target_words import read_amount
from qctkit.readers.table import table_lines
from qctkit.store.reader import CohortFile
from qctkit.subject import ATTRIBUTES, Subject

SOURCE = "source_subject_id"


def read_targets(path: Path, cohort: CohortFile) -> tuple[Target, ...]:
    """Return one target a row; an empty cell keeps the source's value, ``+10`` adds to it.

    Raises:
        TableError: the table is missing, or a column, subject or value is wrong (line and column
            are named).
    """
    lines = table_lines(path)
    first_line, header = next(lines, (1, []))
    _check_columns(f"{path}, line {first_line}", header)
    sample_of = {cohort.subject(one).subject_id: one for one in reversed(cohort.sample_ids)}
    targets = []
    for line, cells in lines:
        where = f"{path}, line {line}"
        if len(cells) != len(header):
            raise TableError(f"{where}: {len(cells)} cells where the header has {len(header)}")
        row = dict(zip(header, cells, strict=True))
        if row[SOURCE] not in sample_of:
            raise TableError(f"{where}, column {SOURCE}: {row[SOURCE]!r} is not in the cohort")
        sample_id = sample_of[row[SOURCE]]
        values = _values(where, row, cohort.subject(sample_id))
        targets.append(Target(sample_id, values, where))
    if not targets:
        raise TableError(f"{path} has no rows; add one a candidate to make")
    return tuple(targets)


def _check_columns(where: str, header: list[str]) -> None:
    columns = (SOURCE, *ATTRIBUTES)
    wrong = [name for name in header if name not in columns or header.count(name) > 1]
    if wrong or SOURCE not in header:
        raise TableError(
            f"{where}: expected the columns {', '.join(columns)}, each once and {SOURCE} always; "
            f"got {', '.join(header) or 'none'}"
        )


def _values(where: str, row: dict[str, str], source: Subject) -> dict[str, float]:
    values = {}
    for name in ATTRIBUTES:
        if text := row.get(name):
            try:
                values[name] = read_amount(name, text).value(name, source)
            except InputError as error:
                raise TableError(f"{where}, column {name}: {error}") from None
    return values
