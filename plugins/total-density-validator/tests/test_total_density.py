import numpy as np
import pytest
from qctkit_total_density.validator import TotalDensity

from qctkit.plugin import Candidate, Verdict
from qctkit.testing import ValidatorContract, installed, make_femur, make_reference


class TestTotalDensity(ValidatorContract):
    component = TotalDensity()


def _verdict(factor: float) -> Verdict:
    source = make_femur()
    volume = source.volume.with_voxels(factor * source.volume.voxels.astype(np.float32))
    candidate = Candidate(
        source=source,
        volume=volume,
        femur=source.femur,
        region=source.femur.voxels,
        label=source.subject,
        carried=(),
        readings=(),
    )
    return TotalDensity().judge(candidate, make_reference())


def test_a_real_femur_passes() -> None:
    assert _verdict(1.0).passed


@pytest.mark.parametrize("factor", [0.0, 5.0])
def test_a_femur_that_nobody_has_fails(factor: float) -> None:
    assert not _verdict(factor).passed


def test_it_is_found_by_its_entry_point() -> None:
    assert installed("validators", "total-density") == TotalDensity()
