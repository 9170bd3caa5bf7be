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
