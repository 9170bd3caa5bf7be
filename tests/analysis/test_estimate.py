import numpy as np
import pytest
from scipy import stats

from qctkit.analysis.estimate import Estimate, jackknife, mean_over_subjects, p_of_zero

VALUES = np.random.default_rng(0).normal(5.0, 2.0, 12)
NAMES = np.array([f"S{number:02d}" for number in range(12)])


def test_the_jackknife_of_a_mean_is_the_t_interval() -> None:
    found = mean_over_subjects(VALUES, NAMES)
    assert found is not None
    expected = stats.t.interval(0.95, 11, VALUES.mean(), stats.sem(VALUES))
    assert (found.low, found.high) == pytest.approx(expected)


def test_scans_of_one_subject_do_not_count_as_more_subjects() -> None:
    once = jackknife(lambda kept: float(VALUES[kept].mean()), NAMES)
    twice = np.tile(VALUES, 2)
    found = jackknife(lambda kept: float(twice[kept].mean()), np.tile(NAMES, 2))
    assert (found.low, found.high) == pytest.approx((once.low, once.high))


def test_an_unknown_value_does_not_count() -> None:
    known = mean_over_subjects(VALUES[:-1], NAMES[:-1])
    assert mean_over_subjects(np.append(VALUES[:-1], np.nan), NAMES) == known
    assert mean_over_subjects(np.full(12, np.nan), NAMES) is None


def test_two_subjects_give_no_interval() -> None:
    found = jackknife(lambda kept: float(VALUES[:2][kept].mean()), NAMES[:2])
    assert (found.low, found.high) == (None, None)
    assert p_of_zero(found) is None


def test_p_is_five_percent_where_the_interval_ends_at_zero() -> None:
    assert p_of_zero(Estimate(2.0, 0.0, 4.0, 10)) == pytest.approx(0.05)
