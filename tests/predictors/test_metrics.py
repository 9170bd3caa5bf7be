import numpy as np
import pytest

from qctkit.predictors.metrics import expected_calibration_error, figures_of


def test_planted_logits_give_their_counts_and_rates() -> None:
    true = np.array([0, 0, 0, 1, 1, 1, 1.0])
    read = np.array([-1.0, -2, 3, 4, 2, 1, -0.5])
    found = figures_of("sex", true, read, list("abcdefg"))
    assert found["confusion"] == {
        "true_f_read_f": 2,
        "true_f_read_m": 1,
        "true_m_read_f": 1,
        "true_m_read_m": 3,
    }
    assert found["precision"]["value"] == pytest.approx(0.75)
    assert found["recall"]["value"] == pytest.approx(0.75)
    assert found["f1"]["value"] == pytest.approx(0.75)
    assert found["auc"]["value"] == pytest.approx(9 / 12)


def test_planted_errors_give_their_figures_and_bias_by_band() -> None:
    true = np.array([40.0, 45.0, 80.0, 85.0, np.nan])
    read = np.array([45.0, 50.0, 75.0, 80.0, 1.0])
    found = figures_of("age_years", true, read, list("abcde"))
    assert found["subjects"] == 4
    assert found["mse"]["value"] == pytest.approx(25.0)
    assert found["mae"]["value"] == pytest.approx(5.0)
    assert found["bias"]["value"] == pytest.approx(0.0)
    assert [one["bias"] for one in found["bias_by_band"]] == [5.0, -5.0]


def test_the_interval_is_over_subjects_not_over_slices() -> None:
    random = np.random.default_rng(0)
    error = random.normal(0.0, 5.0, 20)
    true = np.repeat(60.0 + random.normal(0.0, 10.0, 20), 30)
    read = true + np.repeat(error, 30)
    by_subject = figures_of("age_years", true, read, np.repeat(np.arange(20), 30).astype(str))
    by_slice = figures_of("age_years", true, read, np.arange(600).astype(str))

    def width(found: dict) -> float:
        return found["mae"]["high"] - found["mae"]["low"]

    assert width(by_subject) > 3 * width(by_slice)


def test_confidence_that_is_too_high_is_a_calibration_error() -> None:
    random = np.random.default_rng(0)
    logit = random.normal(0.0, 2.0, 4000)
    true = (random.random(4000) < 1.0 / (1.0 + np.exp(-logit))).astype(float)
    assert expected_calibration_error(true, logit) < 0.03
    assert expected_calibration_error(true, 5.0 * logit) > 0.1


def test_one_class_or_one_subject_gives_no_figure_rather_than_a_wrong_one() -> None:
    found = figures_of("sex", np.ones(3), np.array([1.0, 2.0, 3.0]), list("abc"))
    assert found["auc"]["value"] is None
    alone = figures_of("age_years", np.array([50.0]), np.array([55.0]), ["a"])
    assert alone["mae"] == {"value": 5.0, "low": None, "high": None}
    assert alone["r2"]["value"] is None
