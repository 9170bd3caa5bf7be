"""A model as someone else would hand it over: made with onnx.helper, described in TOML."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TOML = """\
name = "their-model"
model = "model.onnx"
licence = "CC-BY-4.0"

[[attributes]]
name = "age_years"
unit = "months"

[[attributes]]
name = "sex"
unit = "probability"

[view]
shape = [20, 16, 16]
spacing_mm = 6.0
channels = ["hu", "femur"]
sees = "whole"

[graph]
input = "scan"
output = "answer"
"""

SHAPE = (20, 16, 16)


def mean_density_model(
    *,
    batch: int | str = "n",
    shape: tuple[int, ...] = SHAPE,
    channels: int = 2,
    kind: int = TensorProto.FLOAT,
    mixes_images: bool = False,
) -> onnx.ModelProto:
    """Return a model that reads age in months and the probability of a man off the mean density.

    Mean density m in HU over the femur: 840 - m months, and sigmoid(m / 100 - 3).
    """
    weights = {
        "first": np.array([0]),
        "second": np.array([1]),
        "two": np.array([2]),
        "channels": np.array([1]),
        "space": np.array([2, 3, 4]),
        "factors": np.array([[-1.0, 0.01]], dtype=np.float32),
        "shifts": np.array([840.0, -3.0], dtype=np.float32),
        "rows": np.array([0]),
    }
    nodes = [
        helper.make_node("Slice", ["scan", "first", "second", "channels"], ["hu"]),
        helper.make_node("Slice", ["scan", "second", "two", "channels"], ["femur"]),
        helper.make_node("Mul", ["hu", "femur"], ["inside"]),
        helper.make_node("ReduceSum", ["inside", "space"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["femur", "space"], ["count"], keepdims=0),
        helper.make_node("Div", ["sum", "count"], ["own"]),
        helper.make_node("ReduceMean", ["own", "rows"], ["shared"], keepdims=1)
        if mixes_images
        else helper.make_node("Identity", ["own"], ["shared"]),
        helper.make_node("Add", ["own", "shared"], ["twice"]),
        helper.make_node("Constant", [], ["half"], value_float=0.5),
        helper.make_node("Mul", ["twice", "half"], ["mean"]),
        helper.make_node("Gemm", ["mean", "factors", "shifts"], ["raw"]),
        helper.make_node("Split", ["raw"], ["months", "logit"], axis=1, num_outputs=2),
        helper.make_node("Sigmoid", ["logit"], ["male"]),
        helper.make_node("Concat", ["months", "male"], ["answer"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "mean-density",
        [helper.make_tensor_value_info("scan", kind, [batch, channels, *shape])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, [batch, 2])],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def hand_over(folder: Path, model: onnx.ModelProto | None = None, toml: str = TOML) -> Path:
    """Write a model and its description, and return the description."""
    folder.mkdir(parents=True, exist_ok=True)
    content = (mean_density_model() if model is None else model).SerializeToString()
    (folder / "model.onnx").write_bytes(content)
    (folder / "predictor.toml").write_text(toml, encoding="utf-8")
    return folder / "predictor.toml"


DRIVING_TOML = f"""\
{TOML.replace("probability", "logit")}
[gradient]
model = "gradient.onnx"
attribute_term = "squared-error"
"""

READ_MEAN_DENSITY = """
    hu, femur = Split <axis = 1, num_outputs = 2> (scan)
    space = Constant <value_ints = [1, 2, 3, 4]> ()
    factors = Constant <value = float[1, 2] {-6.0, 0.01}> ()
    shifts = Constant <value = float[2] {2400.0, -3.0}> ()
    inside = Mul (hu, femur)
    sum = ReduceSum <keepdims = 0> (inside, space)
    count = ReduceSum <keepdims = 0> (femur, space)
    own = Div (sum, count)
    last = Constant <value_ints = [1]> ()
    mean = Unsqueeze (own, last)
    scaled = Mul (mean, factors)
    answer = Add (scaled, shifts)
"""

FALL_OF_MEAN_DENSITY = """
    gap = Sub (answer, wanted)
    off = Mul (gap, weight)
    square = Mul (off, off)
    loss = ReduceSum <keepdims = 0> (square, last)
    two = Constant <value = float {TWO}> ()
    doubled = Mul (off, two)
    back = Mul (doubled, weight)
    each = Mul (back, factors)
    slope = ReduceSum <keepdims = 0> (each, last)
    wide = Unsqueeze (slope, space)
    mass = Unsqueeze (count, space)
    level = Unsqueeze (own, space)
    share = Div (wide, mass)
    of_hu = Mul (share, femur)
    above = Sub (hu, level)
    of_femur = Mul (share, above)
    gradient = Concat <axis = 1> (of_hu, of_femur)
"""


def driving_models(two: float = 2.0) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Return a model that reads age and a logit off mean density m, and its gradient by hand.

    2400 - 6 m months, so that real people are told apart, and m / 100 - 3.

    ``two`` is the factor of a square's slope; another one gives a gradient of the wrong length.
    """
    head = '<ir_version: 9, opset_import: ["" : 18]>'
    scan = "float[n, 2, 20, 16, 16]"
    asked = "float[n, 2] wanted, float[n, 2] weight, float[n, 2] side"
    reading = f"read ({scan} scan) => (float[n, 2] answer) {{{READ_MEAN_DENSITY}}}"
    falling = (
        f"fall ({scan} scan, {asked}) => (float[n] loss, float[n, 2] answer, {scan} gradient) "
        f"{{{READ_MEAN_DENSITY}{FALL_OF_MEAN_DENSITY.replace('TWO', str(two))}}}"
    )
    read, fall = (onnx.parser.parse_model(f"{head} {one}") for one in (reading, falling))
    return read, fall


def hand_over_driver(folder: Path, two: float = 2.0) -> Path:
    """Write a model that brings its gradient, with its description; return the folder."""
    read, fall = driving_models(two)
    hand_over(folder, read, DRIVING_TOML)
    (folder / "gradient.onnx").write_bytes(fall.SerializeToString())
    return folder
