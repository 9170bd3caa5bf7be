"""Models from elsewhere: what is taken, what is refused, and in which words."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import convert_model_to_external_data

from qctkit.contracts import Role
from qctkit.errors import PredictorError
from qctkit.predictors.onnx_loading import load_onnx, trial_images
from qctkit.predictors.onnx_scoring import Hardware
from qctkit.predictors.onnx_toml import read_gradient_toml
from qctkit.view import View, spacing_of
from tests.predictors.third_party import SHAPE, TOML, hand_over, mean_density_model

ONE_THREAD = Hardware(threads=1)
VIEW = View(SHAPE, spacing_of(6.0))


def _refusal(source: Path) -> str:
    with pytest.raises(PredictorError) as caught:
        load_onnx(source, ONE_THREAD)
    return str(caught.value)


def _mean_hu(images: np.ndarray) -> np.ndarray:
    hu, femur = images[:, 0], images[:, 1]
    return (hu * femur).sum(axis=(1, 2, 3)) / femur.sum(axis=(1, 2, 3))


@pytest.mark.parametrize("what", ["folder", "description"])
@pytest.mark.parametrize("batch", ["n", 1])
def test_a_described_model_is_scored_in_our_units(
    tmp_path: Path, what: str, batch: int | str
) -> None:
    description = hand_over(tmp_path, mean_density_model(batch=batch))
    (found,) = load_onnx(tmp_path if what == "folder" else description, ONE_THREAD)
    images = trial_images(VIEW, 5)
    mean = _mean_hu(images)
    wanted = np.stack([(840.0 - mean) / 12.0, mean / 100.0 - 3.0], axis=1)  # years, logit
    np.testing.assert_allclose(found.score(images), wanted, rtol=1e-4, atol=1e-3)
    assert found.attributes == ("age_years", "sex")
    assert found.description.role is Role.READER
    assert found.description.licence == "CC-BY-4.0"


def test_columns_may_come_in_any_order(tmp_path: Path) -> None:
    toml = TOML.replace('unit = "months"', 'unit = "days"\ncolumn = 1').replace(
        'unit = "probability"', 'unit = "logit"\ncolumn = 0'
    )
    (found,) = load_onnx(hand_over(tmp_path, toml=toml), ONE_THREAD)
    mean = _mean_hu(trial_images(VIEW, 1))
    male = 1.0 / (1.0 + np.exp(3.0 - mean / 100.0))
    assert found.score(trial_images(VIEW, 1))[0] == pytest.approx(
        [male[0] / 365.25, 840.0 - mean[0]], rel=1e-4
    )


def test_femur_only_hides_what_lies_outside(tmp_path: Path) -> None:
    toml = TOML.replace('"whole"', '"femur"').replace('["hu", "femur"]', '["femur", "hu"]')
    (found,) = load_onnx(hand_over(tmp_path, toml=toml), ONE_THREAD)
    images = trial_images(VIEW, 1)
    other = images.copy()
    other[:, 0][images[:, 1] == 0.0] = 3000.0
    np.testing.assert_array_equal(found.score(images), found.score(other))


def test_a_windowed_channel_is_scaled_to_the_window_that_is_stated(tmp_path: Path) -> None:
    toml = TOML.replace('"hu"', '"windowed"').replace(
        'sees = "whole"', 'sees = "whole"\nwindow_hu = [0, 1000]'
    )
    (found,) = load_onnx(hand_over(tmp_path, toml=toml), ONE_THREAD)
    images = trial_images(VIEW, 1)
    seen = images.copy()
    seen[:, 0] = np.clip(images[:, 0] / 1000.0, 0.0, 1.0)
    assert found.score(images)[0, 0] == pytest.approx((840.0 - _mean_hu(seen)[0]) / 12.0, rel=1e-4)


@pytest.mark.parametrize(
    ("stated", "spacing_mm"), [("6", (6.0, 6.0, 6.0)), ("[3, 0.5, 0.4]", (3.0, 0.5, 0.4))]
)
def test_a_spacing_is_stated_for_all_axes_or_for_each(
    tmp_path: Path, stated: str, spacing_mm: tuple[float, float, float]
) -> None:
    (found,) = load_onnx(hand_over(tmp_path, toml=TOML.replace("6.0", stated)), ONE_THREAD)
    assert found.description.view.spacing_mm == spacing_mm


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('"months"', '"weeks"', ("attributes[0].unit", "'weeks'", "years, months, days")),
        ('"age_years"', '"shoe_size"', ("attributes[0].name", "'shoe_size'", "weight_kg")),
        ('"probability"', '"percent"', ("attributes[1].unit", "'percent'", "logit, probability")),
        ('name = "sex"\nunit = "probability"', 'name = "age_years"\nunit = "years"', ("once",)),
        ('"months"', '"months"\ncolumn = 1', ("attributes", "[1, 1]", "once")),
        ('"months"', '"months"\ncolumn = -1', ("column", "-1", "0 to 999")),
        ("[20, 16, 16]", "[20, 16]", ("view.shape", "[20, 16]", "3 numbers")),
        ("[20, 16, 16]", "[20, 16, 16.5]", ("view.shape", "16.5", "whole numbers from 4 to 512")),
        ("[20, 16, 16]", "[20, 16, 9999]", ("view.shape", "9999", "4 to 512")),
        ("6.0", "0", ("view.spacing_mm", "0", "0.2 to 20")),
        ("6.0", "nan", ("view.spacing_mm", "nan", "0.2 to 20")),
        ("6.0", "true", ("view.spacing_mm", "True", "0.2 to 20")),
        ("6.0", "[6.0, 0.1, 1]", ("view.spacing_mm", "[6.0, 0.1, 1]", "0.2 to 20")),
        ("6.0", "[6.0, 1]", ("view.spacing_mm", "[6.0, 1]", "3 numbers")),
        ('"hu", "femur"', '"hu", "bone"', ("view.channels", "'bone'", '"windowed"')),
        ('"hu", "femur"', '"hu", "hu"', ("view.channels", "at most once")),
        ('"hu", "femur"', '"windowed", "femur"', ("view.window_hu is missing",)),
        ('"whole"', '"bone"', ("view.sees", "'bone'", '"femur-in-graph"')),
        ('"whole"', '"whole"\nwindow_hu = [9, 1]', ("view.window_hu", "high above low")),
        ("spacing_mm", "spacing", ("view.spacing is not known", "did you mean 'spacing_mm'")),
        ('licence = "CC-BY-4.0"\n', "", ("licence is missing",)),
        ('"CC-BY-4.0"', '" "', ("licence", "not empty")),
        ("[graph]\n", "[graph]\nformat = 1\n", ("graph.format is not known", "input, output")),
        ('"their-model"', '"../x"', ("name", "'../x'", "letters")),
        ('"model.onnx"', '"/etc/model.onnx"', ("model", "'/etc/model.onnx'", "same folder")),
        ('"model.onnx"', '"other.onnx"', ("other.onnx is missing",)),
        ('name = "their-model"', "name = ", ("is not TOML", "line 1")),
    ],
)
def test_a_wrong_description_names_file_key_value_and_what_is_allowed(
    tmp_path: Path, before: str, after: str, words: tuple[str, ...]
) -> None:
    assert before in TOML
    message = _refusal(hand_over(tmp_path, toml=TOML.replace(before, after)))
    assert all(word in message for word in (str(tmp_path), *words)), message


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (mean_density_model(batch=4), ("(4, 2, 20, 16, 16)", "(N, 2, 20, 16, 16)", "batch of 1")),
        (mean_density_model(shape=(20, 16, 20)), ("(N, 2, 20, 16, 20)", "(N, 2, 20, 16, 16)")),
        (mean_density_model(channels=3), ("(N, 3, 20, 16, 16)", "(N, 2, 20, 16, 16)")),
        (mean_density_model(mixes_images=True), ("each image alone",)),
    ],
)
def test_a_graph_that_does_not_fit_its_description_is_refused(
    tmp_path: Path, model: onnx.ModelProto, words: tuple[str, ...]
) -> None:
    message = _refusal(hand_over(tmp_path, model))
    assert all(word in message for word in words), message


def test_a_graph_of_doubles_is_refused(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["scan"], ["answer"], axes=[2, 3, 4], keepdims=0)],
        "double",
        [helper.make_tensor_value_info("scan", TensorProto.DOUBLE, ["n", 2, *SHAPE])],
        [helper.make_tensor_value_info("answer", TensorProto.DOUBLE, ["n", 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    assert "type double; expected float" in _refusal(hand_over(tmp_path, model))


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('"scan"', '"image"', ("inputs are scan", "'image'")),
        ('"answer"', '"age"', ("no output 'age'", "answer")),
        ('"months"', '"months"\ncolumn = 2', ("(N, 2)", "(N, 3) or more columns")),
        ('"probability"', '"logit"\n[[attributes]]\nname = "weight_kg"\nunit = "kg"', ("(N, 3)",)),
        ('"whole"', '"femur-in-graph"', ()),
    ],
)
def test_names_and_columns_are_checked_against_the_graph(
    tmp_path: Path, before: str, after: str, words: tuple[str, ...]
) -> None:
    source = hand_over(tmp_path, toml=TOML.replace(before, after))
    if not words:  # this graph does ignore what lies outside the femur
        assert len(load_onnx(source, ONE_THREAD)) == 1
        return
    message = _refusal(source)
    assert all(word in message for word in words), message


def test_a_claim_to_see_only_the_femur_is_tried(tmp_path: Path) -> None:
    model = mean_density_model()
    del model.graph.node[2].input[:]
    model.graph.node[2].input.extend(["hu", "hu"])
    toml = TOML.replace('"whole"', '"femur-in-graph"').replace('"probability"', '"logit"')
    assert "outside the femur changes" in _refusal(hand_over(tmp_path, model, toml))


def test_a_logit_that_is_called_a_probability_is_refused(tmp_path: Path) -> None:
    toml = TOML.replace('"months"', '"months"\ncolumn = 1').replace(
        '"probability"', '"probability"\ncolumn = 0'
    )
    assert "no probability" in _refusal(hand_over(tmp_path, toml=toml))


def test_answers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    model = mean_density_model()
    for one in model.graph.initializer:
        if one.name == "shifts":
            one.CopyFrom(numpy_helper.from_array(np.array([np.nan, 0], np.float32), "shifts"))
    assert "not finite" in _refusal(hand_over(tmp_path, model))


def test_an_operator_beyond_the_standard_is_refused_by_name(tmp_path: Path) -> None:
    model = mean_density_model()
    model.graph.node[-2].domain = "com.example"
    message = _refusal(hand_over(tmp_path, model))
    assert "Sigmoid" in message
    assert "'com.example'" in message


def test_an_operator_hidden_in_a_branch_is_found(tmp_path: Path) -> None:
    model = mean_density_model()
    hidden = helper.make_graph(
        [helper.make_node("Steal", [], ["stolen"], domain="com.example")],
        "branch",
        [],
        [helper.make_tensor_value_info("stolen", TensorProto.FLOAT, [1])],
    )
    node = helper.make_node("If", ["yes"], ["x"], then_branch=hidden, else_branch=hidden)
    model.graph.node.append(node)
    assert "Steal" in _refusal(hand_over(tmp_path, model))


def _with_data_in(location: str) -> onnx.ModelProto:
    model = mean_density_model()
    convert_model_to_external_data(model, location="weights.bin", size_threshold=0)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    return model


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd", "sub/../../secret.bin"])
def test_data_outside_the_folder_is_refused_by_name(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret.bin").write_bytes(b"secret" * 100)
    message = _refusal(hand_over(tmp_path / "model", _with_data_in(location)))
    assert location in message
    assert "outside its folder" in message


def test_data_behind_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(b"secret" * 100)
    source = hand_over(tmp_path / "model", _with_data_in("weights.bin"))
    (source.parent / "weights.bin").symlink_to(tmp_path / "secret.bin")
    assert "behind a link" in _refusal(source)


def test_data_beside_the_model_is_taken_in(tmp_path: Path) -> None:
    source = hand_over(tmp_path)
    (wanted,) = load_onnx(source, ONE_THREAD)
    onnx.save(
        mean_density_model(),
        tmp_path / "model.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    assert (tmp_path / "weights.bin").is_file()
    (found,) = load_onnx(source, ONE_THREAD)
    images = trial_images(VIEW, 2)
    np.testing.assert_array_equal(found.score(images), wanted.score(images))


def test_a_file_beyond_the_limit_is_refused_with_both_sizes(tmp_path: Path) -> None:
    source = hand_over(tmp_path)
    with (tmp_path / "model.onnx").open("r+b") as file:
        file.truncate(2**30 + 2**20)  # sparse: it takes no room on the disk
    assert "has 1025 MiB; at most 1024 MiB" in _refusal(source)


@pytest.mark.parametrize("content", [b"", b"not onnx", b"\x00" * 100])
def test_a_file_that_is_not_onnx_is_refused(tmp_path: Path, content: bytes) -> None:
    source = hand_over(tmp_path)
    (tmp_path / "model.onnx").write_bytes(content)
    assert "model.onnx" in _refusal(source)


def test_a_file_without_a_description_says_what_to_do(tmp_path: Path) -> None:
    hand_over(tmp_path)
    message = _refusal(tmp_path / "model.onnx")
    assert "does not describe itself" in message
    assert "TOML" in message


def test_the_description_on_the_page_is_taken(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "onnx.md").read_text(encoding="utf-8")
    toml, gradient = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    model = mean_density_model(shape=(36, 28, 36))
    model.graph.input[0].name = "image"
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [{"scan": "image", "answer": "estimates"}.get(one, one) for one in names]
    model.graph.output[0].name = "estimates"
    (found,) = load_onnx(hand_over(tmp_path, model, toml), ONE_THREAD)
    assert found.attributes == ("age_years", "sex")
    driving = hand_over(tmp_path, model, f"{toml}\n{gradient}")
    assert read_gradient_toml(driving) == (tmp_path / "model.gradient.onnx", "squared-error")


def test_a_folder_with_two_descriptions_or_none_is_refused(tmp_path: Path) -> None:
    assert "0 descriptions" in _refusal(tmp_path)
    (tmp_path / "second.toml").write_bytes(hand_over(tmp_path).read_bytes())
    assert "2 descriptions" in _refusal(tmp_path)
