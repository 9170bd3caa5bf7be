"""Splitting subjects, never scans or slices."""

from collections.abc import Sequence

from qctkit.errors import PredictorError
from qctkit.subject import Subject

FEWEST_SUBJECTS = 4


def subject_folds(subjects: Sequence[Subject], folds: int) -> list[list[int]]:
    """Return the held-out positions of each fold.

    All scans of a subject fall into one fold. Subjects are dealt out in order of sex, then age, one
    to each fold in turn, and of those dealt together the heaviest goes to the lightest fold: folds
    are stratified by sex and balanced in age and weight.

    Raises:
        PredictorError: there are too few subjects to hold any out.
    """
    unique = {subject.subject_id: subject for subject in subjects}
    if len(unique) < FEWEST_SUBJECTS:
        raise PredictorError(
            f"training needs at least {FEWEST_SUBJECTS} subjects, the cohort has {len(unique)}; "
            "add subjects, or use predictors trained elsewhere"
        )
    fold_of = _deal(list(unique.values()), min(folds, len(unique)))
    return [
        [row for row, subject in enumerate(subjects) if fold_of[subject.subject_id] == fold]
        for fold in range(min(folds, len(unique)))
    ]


def _deal(subjects: list[Subject], count: int) -> dict[str, int]:
    known = [one.weight_kg for one in subjects if one.weight_kg is not None]
    mean_kg = sum(known) / len(known) if known else 0.0
    excess_kg = {
        one.subject_id: 0.0 if one.weight_kg is None else one.weight_kg - mean_kg
        for one in subjects
    }
    ordered = sorted(
        subjects, key=lambda one: (one.sex or "", one.age_years or 0.0, one.subject_id)
    )
    fold_of, total_kg = {}, [0.0] * count
    for first in range(0, len(ordered), count):
        heaviest_first = sorted(
            (one.subject_id for one in ordered[first : first + count]),
            key=lambda name: (-excess_kg[name], name),
        )
        lightest_first = sorted(range(count), key=lambda fold: (total_kg[fold], fold))
        for name, fold in zip(heaviest_first, lightest_first, strict=False):
            fold_of[name] = fold
            total_kg[fold] += excess_kg[name]
    return fold_of
