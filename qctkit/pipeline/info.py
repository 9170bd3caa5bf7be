"""``qctkit info``: what a cohort file holds, without its voxels."""

from collections import Counter

from qctkit.cohort import Record
from qctkit.store.reader import CohortFile


def describe(cohort: CohortFile) -> Record:
    """Return what a cohort file holds, as JSON values."""
    rows = [
        {
            "sample_id": sample_id,
            "subject_id": subject.subject_id,
            "sex": subject.sex,
            "age_years": subject.age_years,
            "weight_kg": subject.weight_kg,
            "origins": {name: str(origin) for name, origin in subject.origins.items()},
            **cohort.summary(sample_id),
        }
        for sample_id in cohort.sample_ids
        for subject in [cohort.subject(sample_id)]
    ]
    return {
        "path": str(cohort.path),
        "samples": rows,
        "refused": len(cohort.refused),
        "units": dict(Counter(row["unit"] for row in rows)),
        "window_hu": [cohort.window.low_hu, cohort.window.high_hu],
        "fingerprint": cohort.fingerprint,
        "run": cohort.run,
    }
