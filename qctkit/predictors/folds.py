"""Splitting subjects, never scans or slices."""

from collections.abc import Sequence

from qctkit.errors import PredictorError
from qctkit.subject import Subject

FEWEST_SUBJECTS = 4


def subject_folds(subjects: Sequence[Subject], folds: int) -> list[list[int]]:
    """Return the held-out positions of each fold.

    All scans of a subject fall into one fold. Subjects are dealt out in order of sex, then age,
    so that folds are stratified by sex and balanced in age.

    Raises:
        PredictorError: there are too few subjects to hold any out.
    """
    unique = {subject.subject_id: subject for subject in subjects}
    if len(unique) < FEWEST_SUBJECTS:
        raise PredictorError(
            f"training needs at least {FEWEST_SUBJECTS} subjects, the cohort has {len(unique)}; "
            "add subjects, or use predictors trained elsewhere"
        )
    count = min(folds, len(unique))
    ordered = sorted(
        unique.values(),
        key=lambda one: (one.sex or "", one.age_years or 0.0, one.subject_id),
    )
    fold_of = {subject.subject_id: rank % count for rank, subject in enumerate(ordered)}
    return [
        [row for row, subject in enumerate(subjects) if fold_of[subject.subject_id] == fold]
        for fold in range(count)
    ]
