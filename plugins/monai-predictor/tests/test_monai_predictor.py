import torch
from qctkit_monai_predictor.predictor import MonaiRegressor

from qctkit.plugin import TrainingData, View
from qctkit.testing import PredictorContract, installed

SMALL = View((16, 12, 16), (7.0, 7.0, 7.0))


class TestMonaiRegressor(PredictorContract):
    component = MonaiRegressor(view=SMALL, epochs=3)


def test_it_is_found_by_its_entry_point() -> None:
    assert installed("predictors", "monai-regressor") == MonaiRegressor()


def test_it_learns_what_can_be_seen() -> None:
    ages = torch.linspace(40.0, 90.0, 8)
    images = torch.ones(8, 2, *SMALL.shape)
    images[:, 0] = (900.0 - 6.0 * ages)[:, None, None, None]
    images[:, 0] += 30.0 * torch.randn(SMALL.shape, generator=torch.Generator().manual_seed(0))
    data = TrainingData(images, {"age_years": ages}, SMALL)
    module = MonaiRegressor(view=SMALL, epochs=150).fit(data, ("age_years",), 0)
    with torch.no_grad():
        error = (module(images)[:, 0] - ages).abs().mean()
    assert error < 6.0
