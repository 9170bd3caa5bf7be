import os
from collections.abc import Iterator
from contextlib import closing

import pytest

from qctkit.errors import QctkitError
from qctkit.processes import in_order


def test_results_keep_the_items_order_and_later_items_wait() -> None:
    drawn = []

    def items() -> Iterator[int]:
        for item in range(50):
            drawn.append(item)
            yield item

    with closing(in_order(float, items(), 2)) as results:
        assert [next(results) for _ in range(4)] == [0.0, 1.0, 2.0, 3.0]
    assert len(drawn) < 10


def test_one_worker_is_this_process() -> None:
    assert list(in_order(lambda item: item + 1, [1, 2], 1)) == [2, 3]


def test_an_error_of_a_worker_is_raised_here() -> None:
    with pytest.raises(ValueError, match="could not convert"):
        list(in_order(float, ["1", "one", "2"], 2))


def test_a_worker_that_is_ended_from_outside_is_one_error() -> None:
    with pytest.raises(QctkitError, match=r"ended from outside.*--resume"):
        list(in_order(os._exit, [1, 1], 2))
