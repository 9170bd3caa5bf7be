"""What PyTorch's ONNX exporter needs around it."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from importlib.metadata import PackageNotFoundError, version

import onnx
from google.protobuf.message import Message

from qctkit.predictors.onnx_graph import every

OPSET = 20
TALKATIVE = ("torch.onnx", "torch.fx.experimental.symbolic_shapes", "onnxscript", "onnx_ir")
EXPORTERS = ("torch", "onnx", "onnxscript", "onnxruntime-gpu", "onnxruntime")


def first_cause(error: BaseException) -> str:
    """Return the first line of what went wrong deepest down: the exporter wraps it in advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextmanager
def quiet() -> Iterator[None]:
    """Let the exporter work without a word.

    It tells of every optional package that is not there, and prints the whole graph where it
    fails; none of it is ours to say.
    """
    loggers = [logging.getLogger(name) for name in TALKATIVE]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def forget_the_exporter(model: onnx.ModelProto) -> None:
    """Take out stack traces, which hold the paths of whoever exported the file."""
    for message in every(model, Message):
        for name in ("metadata_props", "doc_string"):
            if name in message.DESCRIPTOR.fields_by_name:
                message.ClearField(name)


def exporter_versions() -> dict[str, str]:
    """Return the versions of the libraries that export."""
    found = {}
    for name in EXPORTERS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
