"""Reading an ONNX file that someone else may have made: whole, checked, nothing outside it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import onnx
from google.protobuf.message import DecodeError, Message
from onnx.external_data_helper import (
    ExternalDataInfo,
    load_external_data_for_model,
    uses_external_data,
)

from qctkit.errors import PredictorError
from qctkit.predictors.onnx_description import PREFIX, Description

LARGEST_BYTES = 2**30
"""Largest file, with its external data, that is read: 1 GiB. Networks of this field have megabytes,
and the format itself ends at 2 GiB."""

STANDARD_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
"""Operators that every ONNX runtime has."""

FIXED_BATCH = 1
"""The one batch size that a graph may be fixed to; it is then called image by image."""


def read_model(path: Path) -> onnx.ModelProto:
    """Return the model in a file, its external data taken in, checked against the ONNX standard.

    Raises:
        PredictorError: the file is missing, too large, damaged, uses operators beyond the
            standard, or keeps data outside its folder.
    """
    if not path.is_file():
        raise PredictorError(f"{path} is missing")
    _refuse_large(path, path.stat().st_size)
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except DecodeError as error:
        raise PredictorError(f"{path} is not an ONNX file, or is damaged") from error
    _refuse_foreign_operators(model, path)
    _take_in_external_data(model, path)
    _check_standard(model, str(path))
    return model


def metadata_of(model: onnx.ModelProto) -> dict[str, str]:
    """Return a model's ``metadata_props``."""
    return {one.key: one.value for one in model.metadata_props}


class Described(Protocol):
    """What says of itself what a model's metadata hold."""

    @property
    def name(self) -> str:
        """Of the predictor."""
        ...

    def metadata(self) -> dict[str, str]:
        """Return what ``metadata_props`` hold."""
        ...


def model_bytes(model: onnx.ModelProto, description: Described) -> bytes:
    """Return a model with its description as the bytes of one file, the same every time.

    Raises:
        PredictorError: the model is not valid.
    """
    others = {
        name: value for name, value in metadata_of(model).items() if not name.startswith(PREFIX)
    }
    onnx.helper.set_model_props(model, others | description.metadata())
    _check_standard(model, description.name)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def every(message: Message, kind: type[Any]) -> Iterator[Any]:
    """Yield every message of a kind at any depth: in subgraphs, functions and attributes too."""
    if isinstance(message, kind):
        yield message
    for _, value in message.ListFields():
        children = [value] if isinstance(value, Message) else value
        for child in children if _holds_messages(children) else ():
            yield from every(child, kind)


def check_graph(model: onnx.ModelProto, description: Description, where: str) -> bool:
    """Check the graph's input and output against the description; return whether its batch is 1.

    Raises:
        PredictorError: names, types or shapes do not fit.
    """
    weights = {one.name for one in model.graph.initializer}
    inputs = [one for one in model.graph.input if one.name not in weights]
    if [one.name for one in inputs] != [description.input_name]:
        names = ", ".join(one.name for one in inputs)
        raise PredictorError(
            f"{where}: the graph's inputs are {names or 'none'}; expected one, "
            f"{description.input_name!r}"
        )
    outputs = {one.name: one for one in model.graph.output}
    if description.output_name not in outputs:
        raise PredictorError(
            f"{where}: the graph has no output {description.output_name!r}; its outputs are "
            f"{', '.join(outputs)}"
        )
    shape = _shape(inputs[0], where)
    _check_input(shape, description, where)
    _check_output(_shape(outputs[description.output_name], where), description, where)
    return shape[0] == FIXED_BATCH


def _check_standard(model: onnx.ModelProto, where: str) -> None:
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise PredictorError(f"{where} is no valid ONNX model: {_first_line(error)}") from error


def _check_input(shape: list[int | None], description: Description, where: str) -> None:
    wanted = [FIXED_BATCH, len(description.channels), *description.view.shape]
    fits = len(shape) == len(wanted) and all(
        found in (None, one) for found, one in zip(shape, wanted, strict=True)
    )
    if not fits:
        raise PredictorError(
            f"{where}: input {description.input_name!r} has shape {_shown(shape)}; expected "
            f"{_shown([None, *wanted[1:]])}, that is (N, channels, D, H, W), with a free batch or "
            "a batch of 1"
        )


def _check_output(shape: list[int | None], description: Description, where: str) -> None:
    columns = max(one.last_column for one in description.estimates) + 1
    if len(shape) != 2 or (shape[1] is not None and shape[1] < columns):
        raise PredictorError(
            f"{where}: output {description.output_name!r} has shape {_shown(shape)}; expected "
            f"(N, {columns}) or more columns"
        )


def _shape(value: onnx.ValueInfoProto, where: str) -> list[int | None]:
    """Return the sizes along each axis, None where they are free; the type must be float32."""
    kind = value.type.tensor_type
    if kind.elem_type != onnx.TensorProto.FLOAT:
        name = onnx.TensorProto.DataType.Name(kind.elem_type).lower()
        raise PredictorError(f"{where}: {value.name!r} has type {name}; expected float (float32)")
    return [one.dim_value if one.HasField("dim_value") else None for one in kind.shape.dim]


def _shown(shape: list[int | None]) -> str:
    return f"({', '.join('N' if one is None else str(one) for one in shape)})"


def _refuse_foreign_operators(model: onnx.ModelProto, path: Path) -> None:
    allowed = STANDARD_DOMAINS | {one.domain for one in model.functions}
    for node in every(model, onnx.NodeProto):
        if node.domain not in allowed:
            raise PredictorError(
                f"{path} uses the operator {node.op_type} of domain {node.domain!r}, which is not "
                "in the ONNX standard; export it with standard operators only"
            )


def _take_in_external_data(model: onnx.ModelProto, path: Path) -> None:
    external = [one for one in every(model, onnx.TensorProto) if uses_external_data(one)]
    folder = path.parent.resolve()
    files = set()
    for tensor in external:
        location = ExternalDataInfo(tensor).location
        file = folder / location
        if Path(location).is_absolute() or file.resolve() != file or folder not in file.parents:
            raise PredictorError(
                f"{path} keeps data in {location!r}, outside its folder or behind a link; refused. "
                "Save the model as one file"
            )
        if not file.is_file():
            raise PredictorError(f"{path} keeps data in {location!r}, which is missing")
        files.add(file)
    _refuse_large(path, path.stat().st_size + sum(one.stat().st_size for one in files))
    try:
        load_external_data_for_model(model, str(folder))
    except (onnx.checker.ValidationError, ValueError, OSError) as error:
        raise PredictorError(
            f"{path}: its external data cannot be read: {_first_line(error)}"
        ) from error


def _refuse_large(path: Path, size: int) -> None:
    if size > LARGEST_BYTES:
        raise PredictorError(
            f"{path} with its data has {size / 2**20:.0f} MiB; at most "
            f"{LARGEST_BYTES / 2**20:.0f} MiB are read"
        )


def _holds_messages(values: Any) -> bool:
    # Weights are repeated numbers or bytes; looking at the first is enough, and quick.
    return not isinstance(values, str | bytes | int | float) and isinstance(
        next(iter(values), None), Message
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
