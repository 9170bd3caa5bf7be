from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from qctkit.cohort import FemurMask, MaskOrigin, MemoryCohort, Sample, Side
from qctkit.errors import InputError


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(InputError, match="empty"):
        FemurMask(np.zeros((2, 2, 2), dtype=bool), Side.LEFT, MaskOrigin.GIVEN)


def test_a_mask_of_another_shape_is_refused(sample: Sample) -> None:
    mask = FemurMask(np.ones((2, 2, 2), dtype=bool), Side.LEFT, MaskOrigin.GIVEN)
    with pytest.raises(InputError, match="mask of A"):
        replace(sample, femur=mask)


@pytest.mark.parametrize("name", ["../x", "a/b", "", "Jane Doe"])
def test_a_sample_id_that_could_be_a_path_is_refused(sample: Sample, name: str) -> None:
    with pytest.raises(InputError, match="sample_id"):
        replace(sample, sample_id=name)


def test_samples_come_back_in_order_and_by_id(make: Callable[..., Sample]) -> None:
    cohort = MemoryCohort((make("B"), make("A")))
    assert cohort.sample_ids == ("B", "A")
    assert [one.sample_id for one in cohort] == ["B", "A"]
    assert cohort.load("A").sample_id == "A"
    assert cohort.subject("B").subject_id == "B"
    assert len(cohort) == 2


def test_an_id_given_twice_is_refused_by_name(make: Callable[..., Sample]) -> None:
    with pytest.raises(InputError, match=r"\['A'\]"):
        MemoryCohort((make("A"), make("B"), make("A")))


def test_an_unknown_id_is_refused(sample: Sample) -> None:
    with pytest.raises(InputError, match="'Z'"):
        MemoryCohort((sample,)).load("Z")
