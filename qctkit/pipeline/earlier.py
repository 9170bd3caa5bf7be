"""Figures that an earlier report computed, so that a page need not wait for them again."""

import json
from pathlib import Path

from qctkit.cohort import Record
from qctkit.errors import InputError
from qctkit.store.reader import CohortFile


def earlier_analysis(path: Path, made: CohortFile, real: CohortFile) -> Record:
    """Return the analysis in the JSON of an earlier report.

    Raises:
        InputError: the file is no such JSON, holds no analysis, or one of other cohorts.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        cohorts = found["cohorts"]["made"], found["cohorts"]["real"]
        analysis: Record | None = found["analysis"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not the JSON of a report; give the .json beside a page that "
            "`qctkit report --analyse` wrote"
        ) from error
    if analysis is None:
        raise InputError(f"{path} holds no figures; `qctkit report --analyse` computes them")
    if cohorts != (made.fingerprint, real.fingerprint):
        raise InputError(f"{path} holds figures of other scans than {made.path} and {real.path}")
    return analysis
