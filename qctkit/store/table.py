"""The table at the root of a cohort file: one row a sample, enough to list and to filter."""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import h5py
import numpy as np
from numpy.typing import NDArray

from qctkit import schema
from qctkit.cohort import Sample
from qctkit.store.encode import Encoded, decode_subject
from qctkit.store.group import write_texts
from qctkit.subject import ATTRIBUTES, CORE, Origin, Subject

Columns: TypeAlias = Mapping[str, NDArray[Any]]
Row: TypeAlias = Mapping[str, str | int | float]


def table_row(sample: Sample, stored: Encoded, sha256: str, others: Iterable[str] = ()) -> Row:
    """Return the row of a sample: what is missing is "" or NaN, of an origin "missing".

    ``others`` are attributes of other subjects of the cohort, which have a column too.
    """
    made = sample.synthesis
    known = {name: value for name, value in stored.attributes.items() if np.ndim(value) == 0}
    others = sorted({*others, *sample.subject.others})
    row: dict[str, Any] = {
        name: known.get(name, "" if kind == "text" else math.nan)
        for name, kind in schema.table_columns(others).items()
    }
    row |= {f"{name}_origin": str(sample.subject.origin(name)) for name in (*CORE, *others)}
    row |= {
        "source_subject_id": made.source_subject_id if made else sample.subject.subject_id,
        "source_sample_id": made.source_sample_id if made else "",
        "recipe": str(made.record.get("recipe") or "") if made else "",
        schema.SHA256: sha256,
    }
    row |= zip(("depth", "height", "width"), sample.volume.voxels.shape, strict=True)
    spacing_columns = ("spacing_depth_mm", "spacing_height_mm", "spacing_width_mm")
    row |= zip(spacing_columns, sample.volume.spacing_mm, strict=True)
    return row


def row_subject(row: Row) -> Subject:
    """Return the subject that a row describes."""
    attributes: dict[str, Any] = dict(row)
    for name in ATTRIBUTES:
        if attributes.get(f"{name}_origin") == Origin.MISSING:
            del attributes[name]
    return decode_subject(attributes)


def same_value(one: object, other: object) -> bool:
    """Whether two cells agree; NaN agrees with NaN."""
    return one == other or (one != one and other != other)  # NaN alone differs from itself


def others_of(rows: Iterable[Row]) -> tuple[str, ...]:
    """Return the attributes beside the core's that any row has."""
    columns = {name for row in rows for name in row}
    return tuple(sorted(one for one in columns - {*CORE} if f"{one}_origin" in columns))


def write_table(table: h5py.Group, rows: Sequence[Row]) -> None:
    """Write rows, in order, as columns into an empty group."""
    others = others_of(rows)
    nothing = dict.fromkeys(others, math.nan) | {
        f"{name}_origin": str(Origin.MISSING) for name in others
    }
    for name, kind in schema.table_columns(others).items():
        values = [(nothing | dict(row))[name] for row in rows]
        if kind == "text":
            write_texts(table, name, [str(value) for value in values])
        else:
            table.create_dataset(name, data=np.array(values, dtype=kind))


def read_column(table: h5py.Group, name: str, kind: str = "text") -> NDArray[Any]:
    """Return one column of a table, which cannot be written to."""
    column = table[name]
    values = column.asstr()[()].astype(np.str_) if kind == "text" else column[()].astype(kind)
    if values.ndim != 1:
        raise ValueError(f"column {name} of the table has {values.ndim} axes, not one")
    values.setflags(write=False)
    return np.asarray(values)


def read_table(table: h5py.Group, others: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Return the columns of a table whose file defines these attributes beside the core's.

    Raises:
        ValueError: columns have different lengths.
    """
    columns = {
        name: read_column(table, name, kind) for name, kind in schema.table_columns(others).items()
    }
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1:
        raise ValueError(f"columns of the table have different lengths: {sorted(lengths)}")
    return columns


def table_rows(columns: Columns) -> Iterator[Row]:
    """Return the rows of a table, in order."""
    values = [column.tolist() for column in columns.values()]
    return (dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True))


def fingerprint(checksums: Iterable[str]) -> str:
    """Return what names a cohort: the SHA-256 of its samples' checksums, one after the other."""
    return hashlib.sha256("".join(checksums).encode()).hexdigest()
