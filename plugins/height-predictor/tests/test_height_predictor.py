import torch
from qctkit.testing import PredictorContract, installed

from height_predictor.predictor import HeightJudge, HeightPredictor, areas, widths


class TestHeightPredictor(PredictorContract):
    component = HeightPredictor()


class TestHeightJudge(PredictorContract):
    component = HeightJudge()


def test_height_is_an_attribute_from_now_on() -> None:
    assert installed("attributes", "height_cm").unit == "cm"


def test_a_larger_femur_has_larger_areas_and_widths() -> None:
    small, large = torch.zeros(2, 1, 2, 8, 16, 16)
    small[:, 1, :, 6:10, 6:10] = 1.0
    large[:, 1, :, 4:12, 4:12] = 1.0
    for measure in (areas, widths):
        assert measure(large)[0, 0] > measure(small)[0, 0]
