"""A predictor that came as an ONNX file, where `qctkit train` expects a family."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import onnx
import torch
from torch import Tensor

from qctkit.contracts import Role, TrainingData
from qctkit.errors import PredictorError
from qctkit.predictors.onnx_description import Description
from qctkit.predictors.onnx_graph import metadata_of, model_bytes, read_model
from qctkit.predictors.onnx_loading import load_toml
from qctkit.predictors.onnx_module import OnnxModule
from qctkit.predictors.onnx_scoring import Hardware, OnnxPredictor
from qctkit.predictors.onnx_toml import read_toml
from qctkit.view import View


class OnnxWeights(OnnxModule):
    """An ONNX model whose file is its weights, so that it lies beside those of other families."""

    file: Tensor

    def __init__(self, content: bytes) -> None:
        super().__init__(_predictor(content))
        self.register_buffer("file", torch.frombuffer(bytearray(content), dtype=torch.uint8))
        self.register_load_state_dict_post_hook(_renew)  # type: ignore[no-untyped-call]


@dataclass(frozen=True, repr=False)
class OnnxFamily:
    """An ONNX model that is trained already: ``fit`` measures nothing and changes nothing.

    Its skill is what `qctkit train` measures on the cohort, of which it may have seen subjects
    before. It is a reader: an ONNX file has no gradient. One that brings its gradient in a second
    file drives once its folder is adopted (`qctkit adopt`).

    Attributes:
        description_file: the TOML file; docs/onnx.md says what it holds.
        on_request: it is trained only where it is named.
    """

    description_file: Path
    on_request: bool = True

    @cached_property
    def description(self) -> Description:
        """The contract that the description states."""
        return read_toml(self.description_file)[1]

    @cached_property
    def trained_on(self) -> str:
        """Fingerprint of the cohort that it was trained on, if the file itself says so."""
        told = metadata_of(read_model(read_toml(self.description_file)[0]))
        try:
            return Description.from_metadata(told).cohort_fingerprint
        except PredictorError:
            return ""

    @property
    def name(self) -> str:
        """The name in the description."""
        return self.description.name

    @property
    def role(self) -> Role:
        """A reader, always."""
        return Role.READER

    @property
    def attributes(self) -> tuple[str, ...]:
        """Attributes that the model reads."""
        return self.description.attributes

    @property
    def view(self) -> View:
        """The grid that the description states."""
        return self.description.view

    def __repr__(self) -> str:
        content = model_bytes(read_model(read_toml(self.description_file)[0]), self.description)
        return f"OnnxFamily(name={self.name!r}, sha256={hashlib.sha256(content).hexdigest()!r})"

    def build(self, attributes: Sequence[str], view: View) -> OnnxWeights:  # noqa: ARG002
        """Return the model, reading these attributes, after a dry run.

        Raises:
            PredictorError: the model does not do what its description says.
        """
        model = load_toml(self.description_file, Hardware(threads=1)).model
        columns = {one.attribute: one for one in self.description.estimates}
        estimates = tuple(columns[name] for name in attributes)
        return OnnxWeights(model_bytes(model, replace(self.description, estimates=estimates)))

    def fit(
        self,
        data: TrainingData,
        attributes: Sequence[str],
        seed: int,  # noqa: ARG002 - nothing is drawn
    ) -> OnnxWeights:
        """Return the model as it is, in eval mode."""
        return self.build(attributes, data.view).eval()


def _predictor(content: bytes) -> OnnxPredictor:
    model = onnx.load_model_from_string(content)
    description = Description.from_metadata(metadata_of(model))
    return OnnxPredictor(model, description, Hardware(threads=1), f"{description.name}.onnx")


def _renew(module: torch.nn.Module, _: object) -> None:
    """Read by the file that was just loaded."""
    if isinstance(module, OnnxWeights):
        module.predictor = _predictor(module.file.numpy().tobytes())
