from pathlib import Path

import pytest

from qctkit.plugin import PredictorFamily, Role
from qctkit.testing import PredictorContract, installed

NAME = "simulated-bone-density"


@pytest.fixture(scope="module")
def family() -> PredictorFamily:
    return installed("predictors", NAME)


class TestSimulatedBoneDensity(PredictorContract):
    component = installed("predictors", NAME)


def test_the_package_holds_no_python() -> None:
    folder = Path(__file__).parents[1] / "qctkit_onnx_only"
    assert {one.suffix for one in folder.iterdir()} == {".onnx", ".toml"}


def test_it_is_a_reader_and_is_trained_only_where_it_is_named(family: PredictorFamily) -> None:
    assert family.role is Role.READER
    assert getattr(family, "on_request", False)


def test_it_reads_one_attribute_as_it_reads_two(family: PredictorFamily) -> None:
    assert family.build(("age_years",), family.view).predictor.attributes == ("age_years",)
