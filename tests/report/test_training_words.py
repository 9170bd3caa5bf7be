"""Sentences and charts of the training page."""

import numpy as np
import pytest

from qctkit.report.training_charts import cohort_overview, read_against_true
from qctkit.report.training_words import best, cohort_in_words, headline, shown


def subject(name: str, sex: str | None, age: float | None, length_mm: float = 160.0) -> dict:
    return {
        "sample_id": name, "subject_id": name[0], "sex": sex, "age_years": age,
        "weight_kg": 60.0, "scan_length_mm": length_mm,
    }  # fmt: skip


def off_by(error: float) -> dict:
    return {"mae": {"value": error, "low": error - 1.0, "high": error + 1.0}}


KNOWN = {"age_years": ("age", "years"), "weight_kg": ("weight", "kg")}
SUBJECTS = [subject("A1", "F", 61.4), subject("A2", "F", 61.4, 150.0), subject("B", None, None)]


def test_who_is_missing_what_is_said() -> None:
    words = cohort_in_words(SUBJECTS)
    assert words.startswith("2 subjects (3 scans): 1 women, 0 men")
    assert "age 61 years" in words
    assert "scans 150 to 160 mm long" in words
    assert words.endswith("not known: sex of 1, age of 1.")


def test_histograms_count_subjects_once_and_scans_each() -> None:
    sex, age, weight, length = cohort_overview(SUBJECTS, KNOWN).axes
    counts = [sum(bar.get_height() for bar in axes.patches) for axes in (sex, age, weight, length)]
    assert counts == [2, 1, 2, 3]
    assert "mm" in length.get_xlabel()


@pytest.mark.parametrize(("error", "said"), [(9.0, True), (4.0, False)])
def test_a_predictor_that_is_no_better_than_the_mean_is_said_to_be(
    error: float, said: bool
) -> None:
    words = headline("age_years", {"reader": off_by(error)}, off_by(8.0))
    assert words.startswith(f"Age: reader errs by {error} ({error - 1} to {error + 1}) years")
    assert ("no better" in words) is said


def test_no_error_in_few_subjects_is_not_taken_for_never() -> None:
    confusion = {"true_f_read_f": 15, "true_f_read_m": 0, "true_m_read_f": 0, "true_m_read_m": 15}
    sure = {"value": 1.0, "low": 1.0, "high": 1.0}
    perfect = {"accuracy": sure, "auc": sure, "confusion": confusion, "subjects": 30}
    words = headline("sex", {"reader": perfect}, {"accuracy": {**sure, "value": 0.5}})
    assert words.endswith("None of 30 was wrong; up to 10 % wrong would still fit that.")


def test_the_best_predictor_has_the_smallest_error() -> None:
    assert best("weight_kg", {"a": off_by(5.0), "b": off_by(3.0), "c": off_by(4.0)}) == "b"


def test_what_has_no_value_or_no_interval_is_said() -> None:
    assert shown({"value": None, "low": None, "high": None}) == "undefined"
    assert shown({"value": 0.5, "low": None, "high": None}) == "0.50"


def test_readings_stand_against_the_truth_with_identity_and_mean() -> None:
    true, read = np.array([50.0, 70.0]), np.array([55.0, 60.0])
    (axes,) = read_against_true("years", true, {"reader": read}, np.array([58.0, 62.0])).axes
    identity, mean, dots = axes.lines
    assert (identity.get_xdata() == identity.get_ydata()).all()
    assert set(mean.get_ydata()) == {60.0}
    assert (dots.get_xdata() == true).all()
    assert (dots.get_ydata() == read).all()
