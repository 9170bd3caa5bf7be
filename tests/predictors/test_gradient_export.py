"""A gradient graph as a file: as exact as PyTorch, checked where it runs, and without PyTorch."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from qctkit.bundled import register_predictors
from qctkit.engine.losses.attributes import SquaredError
from qctkit.errors import PredictorError
from qctkit.gradients import Asked
from qctkit.predictors.gradient_check import (
    LEAST_ERROR,
    TIMES_EAGER,
    Errors,
    femur_images,
    gradient_errors,
    sketch,
)
from qctkit.predictors.gradient_description import GradientDescription
from qctkit.predictors.gradient_eager import EagerGradients, computing_in, frozen_copy, told
from qctkit.predictors.gradient_export import GradientCheck, export_gradient
from qctkit.predictors.gradient_onnx import OnnxGradients, gradient_of_images, load_gradients
from qctkit.predictors.onnx_description import Channel, Description, Estimate, Sees
from qctkit.predictors.onnx_graph import metadata_of, model_bytes
from qctkit.predictors.onnx_loading import load_described
from qctkit.predictors.onnx_scoring import Hardware, channels_of
from qctkit.predictors.trained import TrainedPredictor
from qctkit.view import View, spacing_of
from tests.predictors.gradients import drawn, missed, predictor_of

FAMILIES = {one.name: one for one in register_predictors()}
ONE_THREAD = Hardware(threads=1)
BATCHES = (1, 2, 3, 5)


def _description(predictor: TrainedPredictor) -> Description:
    return Description(
        name=predictor.name,
        role=predictor.role,
        family=predictor.family,
        estimates=tuple(
            Estimate(name, {"sex": "logit", "weight_kg": "kg"}.get(name, "years"), column)
            for column, name in enumerate(predictor.attributes)
        ),
        view=predictor.view,
        channels=(Channel.HU, Channel.FEMUR),
        sees=Sees.WHOLE,
        input_name="image",
        output_name="estimates",
    )


def _export(predictor: TrainedPredictor, folder: Path) -> GradientCheck:
    return export_gradient(predictor, _description(predictor), SquaredError(), folder)


@pytest.fixture(scope="module", params=["bone-density", "sex-network"])
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, small_view: View
) -> tuple[TrainedPredictor, Path, GradientCheck]:
    """A density model, with pooling that scatters, and a network with strides."""
    folder = tmp_path_factory.mktemp("gradient")
    predictor = drawn(FAMILIES[request.param], small_view)
    check = _export(predictor, folder)
    return predictor, folder / f"{predictor.name}.gradient.onnx", check


Exported = tuple[TrainedPredictor, Path, GradientCheck]


def _eager(predictor: TrainedPredictor, dtype: torch.dtype) -> EagerGradients:
    return EagerGradients(
        frozen_copy(predictor.module, dtype), predictor.attributes, SquaredError()
    )


def test_one_file_is_as_exact_as_pytorch_in_batches_of_any_size(exported: Exported) -> None:
    predictor, path, _ = exported
    source = load_gradients(path, ONE_THREAD)
    images = femur_images(predictor.view, max(BATCHES))[::-1].copy()
    asked = missed(predictor, images, by=3.0)
    with computing_in(torch.float64):
        exact = _eager(predictor, torch.float64)(
            images.astype(np.float64), Asked(*(one.astype(np.float64) for one in told(asked)))
        )
    single = _eager(predictor, torch.float32)(images, asked)
    allowed = TIMES_EAGER * np.median(gradient_errors(single.gradient, exact.gradient))
    for batch in BATCHES:
        first = slice(0, batch)
        found = source(images[first], asked.take(first))
        errors = gradient_errors(found.gradient, exact.gradient[first])
        assert np.median(errors) <= max(allowed, LEAST_ERROR)
        np.testing.assert_allclose(found.losses, exact.losses[first], rtol=1e-4)
        np.testing.assert_allclose(found.readings, exact.readings[first], rtol=1e-4, atol=1e-4)


def test_the_export_says_how_exact_it_is(exported: Exported) -> None:
    check = exported[2]
    assert check.attribute_term == "squared-error"
    assert 0.0 <= check.exact <= 1e-12
    assert set(check.errors) == set(BATCHES)
    assert max(check.errors.values()) <= max(TIMES_EAGER * check.eager, LEAST_ERROR)


def test_what_is_not_asked_costs_nothing_and_moves_nothing(exported: Exported) -> None:
    predictor, path, _ = exported
    source = load_gradients(path, ONE_THREAD)
    images = femur_images(predictor.view, 2)
    asked = missed(predictor, images)
    weight = asked.weight.copy()
    weight[1] = 0.0
    found = source(images, Asked(asked.wanted, weight, asked.side))
    assert found.losses[0] > 0.0
    assert found.losses[1] == 0.0
    assert np.abs(found.gradient[0]).max() > 0.0
    assert not found.gradient[1].any()


def test_a_samples_gradient_depends_on_itself_alone(exported: Exported) -> None:
    predictor, path, _ = exported
    source = load_gradients(path, ONE_THREAD)
    images = femur_images(predictor.view, 3)
    asked = missed(predictor, images)
    together = source(images, asked)
    alone = source(images[1:2], asked.take(slice(1, 2)))
    assert gradient_errors(together.gradient[1:2], alone.gradient).max() <= LEAST_ERROR


def test_a_file_describes_itself_and_passes_its_self_check(exported: Exported) -> None:
    predictor, path, _ = exported
    source = load_gradients(path, ONE_THREAD)
    told_of = source.description
    assert told_of.inputs == ("image", "wanted", "weight", "side")
    assert told_of.outputs == ("loss", "readings", "gradient")
    assert (source.attributes, source.attribute_term) == (predictor.attributes, "squared-error")
    check = source.check()
    assert check.passed
    assert check.errors is not None
    assert 0.0 < check.eager.gradient < 1e-4


def test_a_description_is_the_same_after_a_round_trip(exported: Exported) -> None:
    told_of = load_gradients(exported[1], ONE_THREAD).description
    again = GradientDescription.from_metadata(told_of.metadata())
    assert again.metadata() == told_of.metadata()


def test_the_page_says_what_a_gradient_graph_adds(exported: Exported) -> None:
    page = (Path(__file__).parents[2] / "docs" / "onnx.md").read_text(encoding="utf-8")
    record = load_gradients(exported[1], ONE_THREAD).description.record()
    assert "`qctkit.gradient`" in page
    assert all(f"`{key}`" in page for key in [*record, *record["inputs"], *record["outputs"]])


def test_no_weight_feeds_both_a_convolution_and_a_transposed_one(exported: Exported) -> None:
    graph = onnx.load(exported[1]).graph
    weights = {one.name for one in graph.initializer}
    of_kind = {
        kind: {node.input[1] for node in graph.node if node.op_type == kind} & weights
        for kind in ("Conv", "ConvTranspose")
    }
    assert not of_kind["Conv"] & of_kind["ConvTranspose"]
    if exported[0].name == "sex-network":
        assert of_kind["ConvTranspose"]


def test_the_same_predictor_gives_the_same_bytes_and_no_path_of_ours(
    exported: Exported, tmp_path: Path
) -> None:
    predictor, path, _ = exported
    _export(predictor, tmp_path)
    content = path.read_bytes()
    assert (tmp_path / path.name).read_bytes() == content
    assert str(Path(__file__).parents[2]).encode() not in content
    assert Path(torch.__file__).parent.as_posix().encode() not in content


def test_computing_a_gradient_needs_no_torch(exported: Exported) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from qctkit.predictors.gradient_onnx import load_gradients\n"
        "from qctkit.predictors.onnx_scoring import Hardware\n"
        f"source = load_gradients(Path({str(exported[1])!r}), Hardware(threads=1))\n"
        "check = source.check()\n"
        "assert check.passed, check.doubt\n"
        "assert 'torch' not in sys.modules\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


def _spoilt(path: Path, by: float) -> OnnxGradients:
    """Return the graph with its largest weights changed by some share of themselves."""
    model = onnx.load(path)
    description = GradientDescription.from_metadata(metadata_of(model))
    kinds = onnx.TensorProto.FLOAT
    largest = max(
        (one for one in model.graph.initializer if one.data_type == kinds),
        key=lambda one: int(np.prod(one.dims)),
    )
    values = numpy_helper.to_array(largest) * np.float32(1.0 + by)
    largest.CopyFrom(numpy_helper.from_array(values.astype(np.float32), largest.name))
    return OnnxGradients(model, description, ONE_THREAD, str(path))


def test_a_graph_that_computes_something_else_fails_its_self_check(exported: Exported) -> None:
    check = _spoilt(exported[1], 1e-3).check()
    assert not check.passed
    assert "differs from its reference: " in check.doubt
    assert "is usual" in check.doubt


def test_a_scoring_file_is_no_gradient_graph_and_the_other_way_round(
    exported: Exported, tmp_path: Path
) -> None:
    predictor, path, _ = exported
    with pytest.raises(PredictorError, match="qctkit-onnx-gradient 1"):
        load_described(path, ONE_THREAD)
    bare = tmp_path / "bare.onnx"
    bare.write_bytes(model_bytes(onnx.load(path), _description(predictor)))
    with pytest.raises(PredictorError, match=r"bare\.onnx: it is no gradient graph"):
        load_gradients(bare, ONE_THREAD)


def test_a_damaged_reference_is_a_predictor_error(exported: Exported, tmp_path: Path) -> None:
    model = onnx.load(exported[1])
    for one in model.metadata_props:
        if one.key == "qctkit.gradient":
            record = json.loads(one.value)
            del record["reference"]["sketch"]
            one.value = json.dumps(record)
    onnx.save(model, tmp_path / "damaged.onnx")
    with pytest.raises(PredictorError, match=r"damaged\.onnx: its description is damaged"):
        load_gradients(tmp_path / "damaged.onnx", ONE_THREAD)


class _Everything(nn.Module):
    """Reads the sum of 90,000 voxels, far from 0, and a part of it."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        hu = image[:, 0].flatten(1)
        return torch.stack([(hu + 500.0).sum(1), (hu * image[:, 1].flatten(1)).sum(1)], dim=1) / 1e6


def test_long_sums_keep_their_digits(tmp_path: Path) -> None:
    view = View((48, 36, 52), spacing_of(3.0))
    predictor = predictor_of(_Everything(), view, "sums", ("age_years", "weight_kg"))
    check = _export(predictor, tmp_path)
    source = load_gradients(tmp_path / "sums.gradient.onnx", ONE_THREAD)
    images = femur_images(view, 3)
    read = source(images, missed(predictor, images)).readings
    exact = predictor.module(torch.from_numpy(images).double()).numpy()
    # Term by term they lie some 1e-5 off.
    assert (np.abs(read - exact) <= 1e-6 * np.abs(exact)).all()
    assert check.exact <= 1e-12


class _Eigenvalues(nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.linalg.eigvals(image[:, 0, 0, :4, :4]).real[:, :1]


def test_an_operator_that_onnx_does_not_have_is_named_and_nothing_is_written(
    tmp_path: Path, small_view: View
) -> None:
    predictor = predictor_of(_Eigenvalues(), small_view, "eigen")
    with pytest.raises(PredictorError, match=r"eigen.*aten\.linalg_eig"):
        _export(predictor, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_sketch_measures_the_size_of_an_error() -> None:
    generator = np.random.default_rng(1)
    exact = generator.standard_normal((2, 2, 12, 10, 9))
    error = 1e-3 * generator.standard_normal(exact.shape)
    size = np.linalg.norm(error.reshape(2, -1), axis=1)
    found = np.sqrt(((sketch(exact + error) - sketch(exact)) ** 2).mean(axis=1))
    np.testing.assert_allclose(found, size, rtol=0.3)


def test_an_error_that_is_no_number_is_beyond_everything() -> None:
    eager = Errors(1e-7, 1e-7, 1e-7)
    assert Counter(Errors(0.0, 0.0, float("nan")).beyond(eager).keys()) == Counter(["gradient"])
    assert not Errors(LEAST_ERROR, LEAST_ERROR, 2e-7).beyond(eager)


@pytest.mark.parametrize("sees", [Sees.WHOLE, Sees.FEMUR])
def test_a_gradient_of_channels_is_carried_to_the_images(sees: Sees) -> None:
    generator = np.random.default_rng(2)
    view = View((4, 5, 6), spacing_of(6.0))
    description = Description(
        "theirs", FAMILIES["sex-network"].role, "onnx", (Estimate("age_years", "years", 0),),
        view, (Channel.WINDOWED, Channel.FEMUR, Channel.HU), sees, "image", "readings",
    )  # fmt: skip
    images = np.stack(
        [
            generator.uniform(-1500, 2000, (2, *view.shape)),
            generator.uniform(0, 1, (2, *view.shape)),
        ],
        axis=1,
    ).astype(np.float32)
    slope = generator.standard_normal((2, 3, *view.shape)).astype(np.float32)
    found = gradient_of_images(slope, images, description)
    step = generator.standard_normal(images.shape).astype(np.float32)
    moved = channels_of(images + 0.25 * step, description).astype(np.float64)
    back = channels_of(images - 0.25 * step, description).astype(np.float64)
    along = ((moved - back) / 0.5 * slope).sum()
    assert along == pytest.approx(float((found.astype(np.float64) * step).sum()), rel=2e-3)
