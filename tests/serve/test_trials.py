"""Which scans readers see, and in what order."""

import pytest

from qctkit.errors import InputError
from qctkit.serve.trials import draw_trials, order_for

REAL = {f"scan-{number}": f"p{number}" for number in range(20)}
MADE = {f"scan-{number}-a{k}": f"p{number}" for number in range(15) for k in range(3)}


def test_half_of_the_scans_are_made_and_no_person_appears_twice() -> None:
    trials = draw_trials(REAL, MADE, 60, seed=0)
    people = [(MADE if one.is_made else REAL)[one.sample_id] for one in trials]
    assert sum(one.is_made for one in trials) == 10
    assert len(people) == len(set(people)) == 20


def test_no_more_scans_are_shown_than_asked_for() -> None:
    assert len(draw_trials(REAL, MADE, 8, seed=0)) == 8


def test_the_seed_decides_the_draw() -> None:
    assert draw_trials(REAL, MADE, 20, seed=1) == draw_trials(REAL, MADE, 20, seed=1)
    assert draw_trials(REAL, MADE, 20, seed=1) != draw_trials(REAL, MADE, 20, seed=2)


def test_each_reader_has_an_order_of_their_own_that_stays() -> None:
    first, other = (order_for(name, 20, seed=0) for name in ("reader-1", "reader-2"))
    assert first == order_for("reader-1", 20, seed=0)
    assert first != other
    assert sorted(first) == sorted(other) == list(range(20))


def test_one_person_is_too_few() -> None:
    with pytest.raises(InputError, match="two people or more"):
        draw_trials({"a": "p"}, {"a-1": "p"}, 60, seed=0)
