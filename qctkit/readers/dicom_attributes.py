"""Sex, age and weight as a DICOM header states them.

Impossible or empty values are missing, never numbers. Birth and study dates are not used.
"""

import math
import re

from qctkit.subject import AGE, WEIGHT, Sex

AGE_STRING = re.compile(r"(\d{1,3})([DWMY])")
DAYS_PER_YEAR = 365.25
YEARS_PER = {"D": 1 / DAYS_PER_YEAR, "W": 7 / DAYS_PER_YEAR, "M": 1 / 12, "Y": 1.0}


def sex_from_header(text: str) -> Sex | None:
    """Return the sex for ``F`` or ``M``, and None for ``O`` or anything else."""
    return {"F": Sex.F, "M": Sex.M}.get(text.strip().upper())


def age_years_from_header(text: str) -> float | None:
    """Return the age of a DICOM age string such as ``046Y``, ``018M``, ``006W`` or ``010D``."""
    match = AGE_STRING.fullmatch(text.strip().upper())
    if match is None:
        return None
    years = int(match[1]) * YEARS_PER[match[2]]
    return years if AGE.low < years <= AGE.high else None


def weight_kg_from_header(text: str) -> float | None:
    """Return the weight of a DICOM decimal string when it can be a person's."""
    try:
        weight = float(text)
    except ValueError:
        return None
    possible = math.isfinite(weight) and WEIGHT.low < weight <= WEIGHT.high
    return weight if possible else None
