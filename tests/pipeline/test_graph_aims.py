"""An aim by a gradient graph costs and moves what the aim by PyTorch does."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from qctkit.bundled import register_predictors
from qctkit.engine.loop import Aim
from qctkit.engine.losses.attributes import ClassMargin, SquaredError
from qctkit.errors import InputError, PluginError
from qctkit.pipeline.graph_aims import GraphAim, by_graph, gradient_graphs
from qctkit.predictors.driving import measuring
from qctkit.predictors.gradient_check import femur_images
from qctkit.predictors.gradient_export import export_gradient, export_measures_gradient
from qctkit.predictors.onnx_export import export_predictor
from qctkit.predictors.trained import TrainedPredictor
from qctkit.progress import Silent
from qctkit.view import View
from tests.predictors.gradients import drawn

(FAMILY,) = (one for one in register_predictors() if one.name == "bone-density")
COLUMNS = (1, 2)
ERRORS = torch.tensor([9.0, 4.0])


@pytest.fixture(scope="module")
def driver(small_view: View) -> TrainedPredictor:
    return drawn(FAMILY, small_view)


@pytest.fixture(scope="module")
def folder(driver: TrainedPredictor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx")
    description, _ = export_predictor(driver, {}, path)
    export_gradient(driver, description, SquaredError(), path)
    export_measures_gradient(driver, description, SquaredError(), path)
    return path


def _aims(driver: TrainedPredictor, folder: Path, wanted: torch.Tensor) -> tuple[Aim, GraphAim]:
    source = gradient_graphs(folder, [driver], Silent())[driver.name]

    def read(hu: torch.Tensor, femur: torch.Tensor) -> torch.Tensor:
        return driver(torch.stack([hu, femur], dim=1))[:, list(COLUMNS)]

    by_torch = Aim(read, wanted, ERRORS)
    return by_torch, GraphAim(by_torch.read, wanted, ERRORS, source=source, columns=COLUMNS)


def test_costs_and_gradient_are_those_of_pytorch(driver: TrainedPredictor, folder: Path) -> None:
    wanted = torch.tensor([[70.0, 60.0], [float("nan"), 80.0], [50.0, float("nan")]])
    rows = torch.tensor([2, 1])
    found = []
    for aim in _aims(driver, folder, wanted):
        images = torch.from_numpy(femur_images(driver.view, 2)).requires_grad_()
        costs = aim.costs(*images.unbind(dim=1), rows, SquaredError())
        (0.5 * costs.mean(dim=1)).sum().backward()
        assert images.grad is not None
        found.append((costs.detach().numpy(), images.grad.numpy()))
    (by_torch, slope), (by_graph, graph_slope) = found
    np.testing.assert_allclose(by_graph, by_torch, rtol=1e-4)
    assert by_graph[0, 1] == by_graph[1, 0] == 0.0
    assert np.linalg.norm(graph_slope - slope) <= 1e-5 * np.linalg.norm(slope)


def test_measures_cost_and_move_what_they_do_by_pytorch(
    driver: TrainedPredictor, folder: Path
) -> None:
    measure = measuring(driver.module)
    images = torch.from_numpy(femur_images(driver.view, 2))
    with torch.no_grad():
        measured = measure(*images.unbind(dim=1))
    source = gradient_graphs(folder, [driver], Silent(), of_measures=True)[driver.name]
    assert list(source.attributes) == [f"measure {number}" for number in range(len(measured.T))]
    by_torch = Aim(measure, measured - 30.0, torch.full((len(measured.T),), 40.0))
    found = []
    for aim in (by_torch, by_graph(by_torch, source, range(len(measured.T)))):
        seen = images.clone().requires_grad_()
        costs = aim.costs(*seen.unbind(dim=1), torch.tensor([0, 1]), SquaredError())
        costs.mean(dim=1).sum().backward()
        assert seen.grad is not None
        found.append((costs.detach().numpy(), seen.grad.numpy()))
    (costs_by_torch, slope), (costs_by_graph, graph_slope) = found
    np.testing.assert_allclose(costs_by_graph, costs_by_torch, rtol=1e-4)
    assert np.linalg.norm(graph_slope - slope) <= 1e-5 * np.linalg.norm(slope)


def test_what_measures_nothing_has_no_graph_of_measures(
    driver: TrainedPredictor, tmp_path: Path
) -> None:
    reads = replace(driver, module=torch.nn.Sequential(driver.module))
    assert gradient_graphs(tmp_path, [reads], Silent(), of_measures=True) == {}
    with pytest.raises(InputError, match=r"bone-density\.measures\.gradient\.onnx is missing"):
        gradient_graphs(tmp_path, [driver], Silent(), of_measures=True)


def test_costs_that_weigh_differently_are_not_answered(
    driver: TrainedPredictor, folder: Path
) -> None:
    _, aim = _aims(driver, folder, torch.full((1, 2), 60.0))
    images = torch.from_numpy(femur_images(driver.view, 1)).requires_grad_()
    costs = aim.costs(*images.unbind(dim=1), torch.tensor([0]), SquaredError())
    with pytest.raises(ValueError, match="weigh alike"):
        costs[:, 0].sum().backward()


def test_a_graph_of_another_term_is_refused(driver: TrainedPredictor, folder: Path) -> None:
    _, aim = _aims(driver, folder, torch.full((1, 2), 60.0))
    images = torch.from_numpy(femur_images(driver.view, 1))
    with pytest.raises(PluginError, match="--attribute-term class-margin"):
        aim.costs(*images.unbind(dim=1), torch.tensor([0]), ClassMargin())


def test_a_graph_of_other_weights_is_refused(driver: TrainedPredictor, folder: Path) -> None:
    other = drawn(FAMILY, driver.view)
    other.module.intercepts.add_(1.0)
    with pytest.raises(InputError, match="export it again"):
        gradient_graphs(folder, [replace(other, name=driver.name)], Silent())
