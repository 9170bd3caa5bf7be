"""Which samples are shown slice by slice."""

import numpy as np
import pytest

from qctkit.report.choice import choose
from qctkit.report.facts import MadeScan, MeasuredScan
from qctkit.subject import Subject


def scans(count: int) -> list[MadeScan]:
    """Return samples whose strain grows with their number."""
    found = []
    for number in range(count):
        scan = MeasuredScan(
            f"s{number:03d}", Subject("A"), {}, (), np.zeros(1), "", (1.0, 1.0, 1.0)
        )
        strains = {"density": number / count}
        found.append(MadeScan(scan, scan, {}, 0, 0.0, {}, {}, 0.0, strains))
    return found


def test_a_third_is_the_worst_a_third_the_best_and_the_rest_is_drawn() -> None:
    chosen = choose(scans(200))
    by_why = {why: [one.sample_id for one in chosen if one.why == why]
              for why in ("worst", "best", "random")}  # fmt: skip
    assert by_why["worst"] == [f"s{number:03d}" for number in range(199, 191, -1)]
    assert by_why["best"] == [f"s{number:03d}" for number in range(8)]
    assert len(by_why["random"]) == 8
    assert len({one.sample_id for one in chosen}) == 24


@pytest.mark.parametrize("count", [1, 2, 5, 24])
def test_few_samples_are_all_shown_once(count: int) -> None:
    chosen = choose(scans(count))
    assert sorted(one.sample_id for one in chosen) == [f"s{number:03d}" for number in range(count)]


def test_the_same_samples_are_drawn_every_time() -> None:
    assert choose(scans(100)) == choose(scans(100))
