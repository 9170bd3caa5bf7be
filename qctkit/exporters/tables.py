"""The tables beside exported images: the samples, and the candidates that were refused."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from qctkit.cohort import Record, Sample
from qctkit.subject import CORE


def sample_columns(attributes: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of the samples of a cohort with these attributes."""
    return (
        "sample_id",
        "subject_id",
        "source_subject_id",
        "source_sample_id",
        "recipe",
        *(f"target_{name}" for name in attributes),
        *(f"label_{name}" for name in attributes),
        "side",
        "mask_origin",
        "unit",
        "scale",
        "seed",
    )


def refused_columns(attributes: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of the refused candidates of a cohort with these attributes."""
    return (
        "candidate_id",
        "source_subject_id",
        "source_sample_id",
        "recipe",
        *(f"target_{name}" for name in attributes),
        "stop",
        "reason",
        "validators_failed",
    )


@runtime_checkable
class HasRefused(Protocol):
    """A cohort that also holds a record of each refused candidate."""

    @property
    def refused(self) -> tuple[Record, ...]:
        """Records with ids, recipe, targets, stop, reason and verdicts."""
        ...


def sample_row(sample: Sample) -> dict[str, str]:
    """Return a sample's cells by column; a real scan is its own source subject."""
    made = sample.synthesis
    record: Record = made.record if made else {}
    return {
        "sample_id": sample.sample_id,
        "subject_id": sample.subject.subject_id,
        "source_subject_id": made.source_subject_id if made else sample.subject.subject_id,
        "source_sample_id": made.source_sample_id if made else "",
        "recipe": _cell(record.get("recipe")),
        **_target_cells(record),
        **{
            f"label_{name}": _cell(sample.subject.stated(name))
            for name in sample.subject.attributes
        },
        "side": sample.femur.side,
        "mask_origin": sample.femur.origin,
        "unit": sample.volume.unit,
        "scale": sample.volume.scale_label,
        "seed": _cell(record.get("seed")),
    }


def refused_row(record: Record) -> dict[str, str]:
    """Return the cells of a refused candidate by column."""
    failed = [
        verdict["validator"] for verdict in record.get("verdicts", ()) if not verdict["passed"]
    ]
    plain = ("candidate_id", "source_subject_id", "source_sample_id", "recipe", "stop", "reason")
    return {
        **{name: _cell(record.get(name)) for name in plain},
        **_target_cells(record),
        "validators_failed": ";".join(failed),
    }


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> Path:
    """Write a CSV table in UTF-8 and return its path."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def _target_cells(record: Record) -> dict[str, str]:
    targets: Record = record.get("targets", {})
    return {f"target_{name}": _cell(targets.get(name)) for name in (*CORE, *targets)}


def _cell(value: Any) -> str:
    """Return a value as text: nothing for None, whole numbers without a point, others exactly."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
