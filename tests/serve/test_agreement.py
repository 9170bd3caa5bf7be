"""Figures of a reading against answers whose result is known."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from qctkit.serve.agreement import auc, kappa, reading_result
from qctkit.serve.answers import Answer
from qctkit.serve.trials import Trial

TRIALS = [Trial(f"s{number}", number % 2 == 0) for number in range(20)]
Says = Callable[[int], int]


def answers(reader: str, says: Says, trials: Sequence[int] = range(20)) -> list[Answer]:
    """Return a reader's answers; ``says`` gives the score of a trial."""
    return [Answer(reader, one, says(one) > 0, abs(says(one)), 1.0) for one in trials]


def right(trial: int) -> int:
    return 3 if TRIALS[trial].is_made else -3


def wrong(trial: int) -> int:
    return -right(trial)


def test_who_knows_everything_is_always_right() -> None:
    found = reading_result(TRIALS, answers("r", right))
    assert found["accuracy"]["value"] == found["auc"]["value"] == 1.0
    assert found["kappa"] is None


def test_who_always_says_fake_is_right_for_half_and_orders_nothing() -> None:
    found = reading_result(TRIALS, answers("r", lambda _: 1))
    assert found["accuracy"]["value"] == found["auc"]["value"] == 0.5
    assert (found["made_found"]["value"], found["real_found"]["value"]) == (1.0, 0.0)


def test_auc_and_cohens_kappa_are_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    made = np.array([one.is_made for one in TRIALS])
    scores = generator.choice([-3, -2, -1, 1, 2, 3], (2, 20)).astype(float)
    for row in scores:
        assert auc(row[None], made) == pytest.approx(roc_auc_score(made, row))
    assert kappa(scores, made) == pytest.approx(cohen_kappa_score(*(scores > 0)))


def test_fleiss_kappa_is_that_of_the_worked_example() -> None:
    votes = np.array([3, 3, 0, 0, 2, 1])  # of three readers; agreed 2/3 of pairs, chance 1/2
    scores = np.array([np.where(votes > reader, 1.0, -1.0) for reader in range(3)])
    expected = ((4 + 2 / 3) / 6 - 0.5) / 0.5
    assert kappa(scores, np.ones(6, dtype=bool)) == pytest.approx(expected)


def test_readers_who_agree_have_kappa_1_and_opposite_ones_minus_1() -> None:
    for second, expected in ((right, 1.0), (wrong, -1.0)):
        both = [*answers("a", right), *answers("b", second)]
        assert reading_result(TRIALS, both)["kappa"]["value"] == pytest.approx(expected)


def test_kappa_is_of_scans_that_all_have_read() -> None:
    both = [*answers("a", right), *answers("b", right, range(5))]
    found = reading_result(TRIALS, both)
    assert found["kappa_scans"] == 5
    assert [one["answered"] for one in found["readers"]] == [20, 5]


def test_intervals_hold_the_value_and_narrow_with_scans() -> None:
    def half_right(trial: int) -> int:
        return right(trial) if trial % 4 < 2 else wrong(trial)

    few, many = TRIALS, TRIALS * 8
    widths = []
    for trials in (few, many):
        given = [Answer("r", k, half_right(k % 20) > 0, 3, 1.0) for k in range(len(trials))]
        found = reading_result(trials, given)["accuracy"]
        assert found["low"] <= found["value"] <= found["high"]
        widths.append(found["high"] - found["low"])
    assert widths[1] < widths[0] / 2


def test_no_answers_give_no_figures() -> None:
    found = reading_result(TRIALS, [])
    assert found["accuracy"] == {"value": None, "low": None, "high": None}
