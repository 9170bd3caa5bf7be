"""The mean predictor reads what it could know without the subjects held out."""

import numpy as np
import pytest

from qctkit.predictors.mean_predictor import mean_figures, mean_readings

FOLDS = [[0, 1], [2, 3]]


def test_it_reads_the_mean_of_the_other_folds() -> None:
    read = mean_readings("age_years", np.array([40.0, 60.0, 70.0, np.nan]), FOLDS)
    assert read.tolist() == [70.0, 70.0, 50.0, 50.0]


def test_it_reads_the_sex_that_most_of_the_others_have() -> None:
    read = mean_readings("sex", np.array([1.0, 0.0, 1.0, 1.0, 1.0, 0.0]), [[0, 1, 2], [3, 4, 5]])
    assert read == pytest.approx(np.log(2.0))


def test_it_reads_something_where_all_known_values_lie_in_one_fold() -> None:
    read = mean_readings("weight_kg", np.array([60.0, 80.0, np.nan, np.nan]), FOLDS)
    assert read.tolist() == [70.0] * 4


def test_a_constant_has_no_auc_but_an_error() -> None:
    true, folds = np.array([1.0, 1.0, 0.0] * 2), [[0, 1, 2], [3, 4, 5]]
    figures = mean_figures("sex", true, mean_readings("sex", true, folds), list("abcdef"))
    assert "auc" not in figures
    assert figures["accuracy"]["value"] == pytest.approx(4 / 6)
