"""The traced value and gradient of a predictor is autograd's, whatever the batch."""

import numpy as np
import pytest
import torch
from torch import nn

from qctkit.bundled import register_predictors
from qctkit.contracts import AttributeTerm
from qctkit.engine.losses.attributes import ClassMargin, SquaredError, UncertaintyWeighted
from qctkit.errors import PredictorError
from qctkit.gradients import Asked
from qctkit.predictors.gradient_check import femur_images
from qctkit.predictors.gradient_eager import EagerGradients, computing_in, frozen_copy, told
from qctkit.predictors.gradient_trace import trace
from qctkit.predictors.trained import TrainedPredictor
from qctkit.view import View, spacing_of
from tests.predictors.gradients import drawn, missed, predictor_of

FAMILIES = {one.name: one for one in register_predictors()}
DEEP = View((24, 18, 26), spacing_of(6.0))
"""What physical features need: a view with a shaft."""

EXACT = 1e-12


def _doubled(images: np.ndarray, asked: Asked) -> tuple[np.ndarray, Asked]:
    return images.astype(np.float64), Asked(*(one.astype(np.float64) for one in told(asked)))


def _worst_difference(predictor: TrainedPredictor, term: AttributeTerm, batch: int) -> float:
    """Trace with two images in float64, and compare with autograd on a batch of another size."""
    images = femur_images(predictor.view, batch)
    asked = missed(predictor, images)
    wide, told_wide = _doubled(images, asked)
    inputs = [torch.from_numpy(one) for one in (wide, *told(told_wide))]
    graph = trace(predictor.name, predictor.module, term, [one[:2] for one in inputs])
    with computing_in(torch.float64):
        source = EagerGradients(
            frozen_copy(predictor.module, torch.float64), predictor.attributes, term
        )
        exact = source(wide, told_wide)
    with torch.no_grad():
        losses, readings, gradient = graph(*inputs)
    assert gradient.dtype == torch.float64
    assert np.linalg.norm(exact.gradient) > 0.0
    pairs = [(losses, exact.losses), (readings, exact.readings), (gradient, exact.gradient)]
    return max(float(np.linalg.norm(a.numpy() - b) / np.linalg.norm(b)) for a, b in pairs)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_traced_graph_of_every_family_is_autograds_in_float64(name: str) -> None:
    predictor = drawn(FAMILIES[name], DEEP)
    assert _worst_difference(predictor, SquaredError(), 3) <= EXACT


@pytest.mark.parametrize("term", [ClassMargin(), UncertaintyWeighted()], ids=lambda one: one.name)
def test_every_attribute_term_goes_into_the_graph(term: AttributeTerm, small_view: View) -> None:
    predictor = drawn(FAMILIES["bone-density"], small_view)
    assert _worst_difference(predictor, term, 3) <= EXACT


class _Layers(nn.Module):
    """Layers that the built-in networks do not have."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.head = nn.LazyLinear(1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        estimates: torch.Tensor = self.head(self.layers(image / 1000.0).flatten(1))
        return estimates


def _layers(*layers: nn.Module) -> TrainedPredictor:
    torch.manual_seed(0)
    view = View((8, 8, 8), spacing_of(6.0))
    module = _Layers(*layers).eval()
    module(torch.zeros(1, 2, *view.shape))
    return predictor_of(module, view, "layers")


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Conv3d(2, 4, 3, stride=2, padding=1), nn.BatchNorm3d(4), nn.ReLU()),
        (nn.Conv3d(2, 4, 3, groups=2, dilation=2), nn.GroupNorm(2, 4), nn.PReLU()),
        (nn.ConvTranspose3d(2, 4, 3, stride=2), nn.InstanceNorm3d(4), nn.LeakyReLU()),
        (nn.MaxPool3d(3, 2, 1), nn.Hardswish(), nn.AvgPool3d(2)),
        (nn.AvgPool3d(3, 2, 1), nn.ELU(), nn.Softplus()),
    ],
    ids=lambda layers: "-".join(type(one).__name__ for one in layers),
)
def test_layers_of_other_networks_are_traced_exactly(layers: tuple[nn.Module, ...]) -> None:
    assert _worst_difference(_layers(*layers), SquaredError(), 3) <= EXACT


class _Itemised(nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image * float(image.detach().mean())


@pytest.mark.parametrize(
    ("layer", "operator"),
    [
        (_Itemised(), "aten._local_scalar_dense"),
        (nn.Upsample(scale_factor=2), "aten.upsample_nearest3d"),
        (nn.AvgPool3d(3, 2, 1, count_include_pad=False), "aten.avg_pool3d_backward"),
    ],
    ids=["a number taken out", "a batch that is fixed", "an unknown kind of pooling"],
)
def test_what_cannot_be_traced_is_refused_with_the_operators_name(
    layer: nn.Module, operator: str
) -> None:
    predictor = _layers(layer)
    images = torch.from_numpy(femur_images(predictor.view, 2))
    inputs = [images, torch.zeros(2, 1), torch.ones(2, 1), torch.zeros(2, 1)]
    with pytest.raises(PredictorError, match=f"layers.*cannot be traced at {operator}"):
        trace(predictor.name, predictor.module, SquaredError(), inputs)
