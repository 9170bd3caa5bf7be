"""``qctkit info``: what a cohort file holds, from its table alone."""

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qctkit import schema
from qctkit.cohort import Record
from qctkit.errors import CohortFileError
from qctkit.store.group import read_json, sample_group
from qctkit.store.reader import CohortFile
from qctkit.subject import ATTRIBUTES, SEX

MISSING = "missing"


def describe(cohort: CohortFile) -> Record:
    """Return what a cohort file holds, as JSON values: counts and ranges, then a row a sample.

    No path is among them.
    """
    table = cohort.table
    made = table["source_sample_id"] != ""
    return {
        "counts": {
            "samples": len(cohort),
            "real": int((~made).sum()),
            "made": int(made.sum()),
            "subjects": len(set(table["source_subject_id"].tolist())),
            "refused": cohort.refused_count,
        },
        "sex": _counted(table["sex"]),
        **{name: _range(table[name]) for name in cohort.attributes if name != SEX.name},
        "other_attributes": {name: dict(ATTRIBUTES[name].record()) for name in cohort.others},
        "units": _counted(table["unit"]),
        "scales": _counted(table["scale"]),
        "sides": _counted(table["side"]),
        "masks": _counted(table["mask_origin"]),
        "recipes": _counted(table["recipe"][made]),
        "sizes": _counted(_sizes(cohort)),
        "spacing_mm": {
            axis: _range(table[f"spacing_{axis}_mm"]) for axis in ("depth", "height", "width")
        },
        "window_hu": [cohort.window.low_hu, cohort.window.high_hu],
        "fingerprint": cohort.fingerprint,
        "run": cohort.run,
        "samples": [_row(cohort, sample_id) for sample_id in cohort.sample_ids],
    }


def outcome(cohort: CohortFile, name: str) -> Record:
    """Return the record of a made sample, or of a refused candidate by its ``candidate_id``.

    Raises:
        CohortFileError: there is neither of this name, or it is a real scan.
    """
    for record in cohort.refused:
        if record["candidate_id"] == name:
            return record
    if not cohort.row(name)["source_sample_id"]:
        raise CohortFileError(
            f"{name} is a real scan, which no recipe made; `qctkit info` without --sample lists it"
        )
    with cohort.open() as file:
        made = read_json(sample_group(file, name, cohort.path), schema.SYNTHESIS)
    record = made["record"]
    return dict(record)


def _row(cohort: CohortFile, sample_id: str) -> Record:
    row, subject = cohort.row(sample_id), cohort.subject(sample_id)
    return {
        "sample_id": sample_id,
        "subject_id": subject.subject_id,
        "source_subject_id": row["source_subject_id"],
        "recipe": row["recipe"] or None,
        **{name: subject.stated(name) for name in cohort.attributes},
        "origins": {name: str(subject.origin(name)) for name in cohort.attributes},
        **cohort.summary(sample_id),
        "sha256": row["sha256"],
    }


def _counted(values: NDArray[Any]) -> dict[str, int]:
    """Return how often each value occurs, the most frequent first."""
    return dict(Counter(value or MISSING for value in values.tolist()).most_common())


def _range(values: NDArray[np.float64]) -> Record:
    """Return the least, middle and greatest known value, and how many are missing."""
    known = values[np.isfinite(values)]
    figures = {} if not len(known) else {
        "least": float(known.min()),
        "median": float(np.median(known)),
        "greatest": float(known.max()),
    }  # fmt: skip
    return {**figures, MISSING: len(values) - len(known)}


def _sizes(cohort: CohortFile) -> NDArray[np.str_]:
    lengths = [cohort.table[axis].tolist() for axis in ("depth", "height", "width")]
    shapes = zip(*lengths, strict=True)
    return np.array(["x".join(map(str, shape)) for shape in shapes], dtype=np.str_)
