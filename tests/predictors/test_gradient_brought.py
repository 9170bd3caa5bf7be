"""A gradient graph from elsewhere may drive only once it has been found to be one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from qctkit.engine.losses.attributes import ClassMargin, SquaredError
from qctkit.errors import PredictorError
from qctkit.predictors.gradient_brought import try_gradient
from qctkit.predictors.gradient_check import femur_images
from qctkit.predictors.gradient_onnx import OnnxGradients
from qctkit.predictors.onnx_loading import load_toml
from qctkit.predictors.onnx_scoring import Hardware
from qctkit.predictors.onnx_toml import read_gradient_toml
from tests.predictors.gradients import SKILL
from tests.predictors.third_party import (
    DRIVING_TOML,
    driving_models,
    hand_over,
    hand_over_driver,
)

Tried = Callable[[Path], OnnxGradients]


@pytest.fixture
def tried() -> Tried:
    def attempt(folder: Path) -> OnnxGradients:
        predictor = load_toml(folder / "predictor.toml", Hardware(threads=1))
        skills = dict.fromkeys(predictor.attributes, SKILL)
        described = replace(predictor.description, skills=skills)
        return try_gradient(folder / "gradient.onnx", predictor, described, SquaredError())

    return attempt


def test_a_gradient_that_leads_where_its_losses_fall_is_taken_and_known_again(
    tried: Tried, tmp_path: Path
) -> None:
    graph = tried(hand_over_driver(tmp_path))
    assert graph.attributes == ("age_years", "sex")
    check = graph.check()
    assert check.passed
    assert check.errors is not None
    images = femur_images(graph.description.predictor.view, 2)
    found = graph(images, graph.description.reference.asked)
    # Months are asked for in years: 0.75 of a typical error each, squared and summed.
    assert found.losses == pytest.approx([2.0 * 0.75**2] * 2, rel=1e-3)


@pytest.mark.parametrize(("two", "share"), [(2.2, "0.91"), (-2.0, "-1.00")])
def test_a_gradient_of_another_length_or_sense_is_refused(
    tried: Tried, tmp_path: Path, two: float, share: str
) -> None:
    with pytest.raises(PredictorError, match=rf"gradient\.onnx: along .* of HU .* {share}"):
        tried(hand_over_driver(tmp_path, two))


def _changed(folder: Path, old: str, new: str) -> Path:
    """Hand over a model whose gradient graph has one node's input replaced."""
    hand_over_driver(folder)
    model = driving_models()[1]
    for node in model.graph.node:
        if node.output[0] == old:
            node.input[0] = new
    (folder / "gradient.onnx").write_bytes(model.SerializeToString())
    return folder


def test_a_graph_that_reads_or_costs_something_else_is_refused(
    tried: Tried, tmp_path: Path
) -> None:
    with pytest.raises(PredictorError, match="where the model reads"):
        tried(_changed(tmp_path / "reads", "inside", "femur"))
    with pytest.raises(PredictorError, match="where squared-error gives"):
        tried(_changed(tmp_path / "costs", "square", "gap"))


def test_a_graph_that_moves_what_is_not_asked_is_refused(tried: Tried, tmp_path: Path) -> None:
    with pytest.raises(PredictorError, match="with a weight of 0"):
        tried(_changed(tmp_path, "of_hu", "mass"))


def test_a_graph_with_other_outputs_is_refused(tried: Tried, tmp_path: Path) -> None:
    folder = hand_over_driver(tmp_path)
    onnx.save(driving_models()[0], folder / "gradient.onnx")
    with pytest.raises(PredictorError, match="expected scan, side, wanted, weight"):
        tried(folder)


def test_a_description_names_the_graph_and_its_term(tmp_path: Path) -> None:
    toml = hand_over_driver(tmp_path) / "predictor.toml"
    assert read_gradient_toml(toml) == (tmp_path / "gradient.onnx", "squared-error")
    misspelt = DRIVING_TOML.replace("attribute_term", "attribute_terms")
    with pytest.raises(PredictorError, match="did you mean 'attribute_term'"):
        read_gradient_toml(hand_over(tmp_path / "misspelt", toml=misspelt))
    elsewhere = DRIVING_TOML.replace('"gradient.onnx"', '"../gradient.onnx"')
    with pytest.raises(PredictorError, match=r"gradient\.model .*same folder"):
        read_gradient_toml(hand_over(tmp_path / "elsewhere", toml=elsewhere))
    assert read_gradient_toml(hand_over(tmp_path / "none")) is None


def test_a_graph_of_another_term_than_it_says_is_refused(tmp_path: Path) -> None:
    folder = hand_over_driver(tmp_path)
    predictor = load_toml(folder / "predictor.toml", Hardware(threads=1))
    described = replace(predictor.description, skills=dict.fromkeys(predictor.attributes, SKILL))
    with pytest.raises(PredictorError, match="where class-margin gives"):
        try_gradient(folder / "gradient.onnx", predictor, described, ClassMargin())
