"""Values and input gradients by ONNX Runtime, from a gradient graph; needs no torch."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from qctkit.errors import PredictorError
from qctkit.gradients import Array, Asked, Gradients
from qctkit.predictors.gradient_check import SelfCheck, femur_images, self_check
from qctkit.predictors.gradient_description import WANTED, GradientDescription
from qctkit.predictors.onnx_description import PROBABILITY, Channel, Description, Sees, factors_of
from qctkit.predictors.onnx_graph import metadata_of, model_bytes, read_model
from qctkit.predictors.onnx_scoring import (
    SOFT_TISSUE_HU,
    Hardware,
    channels_of,
    open_session,
    usable_cores,
)

MISTAKEN_OPTIMISERS = ("MatMulScaleFusion",)
"""ONNX Runtime 1.31.1 read a logit 0.06 off from the gradient graph of ``physical-features`` with
this fusion on the CPU, and to 7e-7 without it."""

REFERENCE_IMAGES = 2
"""Images of the self-check."""


def load_gradients(path: Path, hardware: Hardware) -> "OnnxGradients":
    """Return the gradient graph in a file; whether it can be trusted, ``check`` says.

    Raises:
        PredictorError: the file holds none, or one that cannot be used.
    """
    model = read_model(path)
    try:
        description = GradientDescription.from_metadata(metadata_of(model))
    except PredictorError as error:
        raise PredictorError(f"{path}: {error}") from error
    return OnnxGradients(model, description, hardware, str(path))


class OnnxGradients:
    """A gradient graph as an ONNX Runtime session.

    Args:
        model: as ``read_model`` gave it.
        description: its contract.
        hardware: what computes.
        where: the file, for messages.

    Raises:
        PredictorError: the graph does not fit its description or cannot be loaded.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        description: GradientDescription,
        hardware: Hardware,
        where: str,
    ) -> None:
        _check_names(model, description, where)
        self.model = model
        self.description = description
        self._where = where
        self._hardware = hardware
        threads = hardware.threads or usable_cores()
        self._session = open_session(
            model, hardware.device, threads, where, without=MISTAKEN_OPTIMISERS
        )
        estimates = description.predictor.estimates
        if PROBABILITY in [one.unit for one in estimates]:
            raise PredictorError(
                f"{where}: a gradient graph reads classes as logits, not as probabilities"
            )
        self._columns = list(range(description.measures)) or [one.column for one in estimates]
        factors = [factors_of(one.attribute)[one.unit] for one in estimates]
        self._factors = np.array([1.0] if description.measures else factors, dtype=np.float32)
        self._width = _columns_asked(model) or max(self._columns) + 1

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what goes to a worker process: it opens a session of its own."""
        return OnnxGradients, (self.model, self.description, self._hardware, self._where)

    @property
    def attributes(self) -> Sequence[str]:
        """What the columns of the readings are."""
        return self.description.columns

    @property
    def attribute_term(self) -> str:
        """Name of the term that is in the graph."""
        return self.description.attribute_term

    def __call__(self, images: Array, asked: Asked) -> Gradients:
        """Return losses, readings and gradients, float32; see ``GradientSource``.

        Raises:
            PredictorError: the graph fails, or answers with other shapes.
        """
        seen = np.asarray(images, dtype=np.float32)
        predictor = self.description.predictor
        given = (
            channels_of(seen, predictor),
            self._in_columns(asked.wanted / self._factors),
            self._in_columns(asked.weight * self._factors),
            self._in_columns(asked.side),
        )
        losses, readings, gradient = self._run(*given)
        return Gradients(
            losses,
            readings[:, self._columns] * self._factors,
            gradient_of_images(gradient, seen, predictor),
        )

    def save(self, path: Path) -> None:
        """Write the graph with its description."""
        path.write_bytes(model_bytes(self.model, self.description))

    @property
    def sha256(self) -> str:
        """Of the graph with its description."""
        return hashlib.sha256(self.model.SerializeToString(deterministic=True)).hexdigest()

    def check(self) -> SelfCheck:
        """Compare with float64 on two images, as the file has it; one call of the graph."""
        images = femur_images(self.description.predictor.view, REFERENCE_IMAGES)
        return self_check(self, images, self.description.reference)

    def _in_columns(self, values: Array) -> NDArray[np.float32]:
        """Return what is asked in the graph's columns; 0 in those that are not read."""
        placed = np.zeros((len(values), self._width), dtype=np.float32)
        placed[:, self._columns] = values
        return placed

    def _run(self, *given: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        names, rows = self.description, len(given[0])
        feed = dict(zip(names.inputs, given, strict=True))
        try:
            found = self._session.run(list(names.outputs), feed)
        except Exception as error:  # onnxruntime raises several private types
            words = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise PredictorError(f"{self._where}: the graph failed: {words}") from error
        for name, one, shape in zip(
            names.outputs, found, ((rows,), given[1].shape, given[0].shape), strict=True
        ):
            if one.shape != shape or one.dtype != np.float32:
                raise PredictorError(
                    f"{self._where}: the graph answered {rows} images with {one.dtype} of shape "
                    f"{one.shape} as {name!r}; expected float32 of {shape}"
                )
        return list(found)


def gradient_of_images(
    gradient: NDArray[np.float32], images: NDArray[np.float32], description: Description
) -> NDArray[np.float32]:
    """Return the gradient of images (HU, femur share) from that of the channels made of them.

    The adjoint of ``channels_of``.
    """
    if description.sees is not Sees.FEMUR and description.channels == (Channel.HU, Channel.FEMUR):
        return gradient
    hu, femur = images[:, 0], images[:, 1]
    muscle = np.float32(SOFT_TISSUE_HU)
    masked = description.sees is Sees.FEMUR
    shown = muscle + femur * (hu - muscle) if masked else hu
    window = description.view.window
    inside = (shown >= window.low_hu) & (shown <= window.high_hu)
    of_shown, of_femur = np.zeros_like(hu), np.zeros_like(femur)
    for channel, one in zip(description.channels, gradient.swapaxes(0, 1), strict=True):
        if channel is Channel.FEMUR:
            of_femur += one
        else:
            of_shown += one if channel is Channel.HU else inside * one / window.width_hu
    if masked:
        of_femur += of_shown * (hu - muscle)
        of_shown = of_shown * femur
    return np.stack([of_shown, of_femur], axis=1).astype(np.float32)


def _columns_asked(model: onnx.ModelProto) -> int:
    """Return how many readings the graph is asked for, 0 where it does not say."""
    (wanted,) = (one for one in model.graph.input if one.name == WANTED)
    sizes = wanted.type.tensor_type.shape.dim
    return sizes[1].dim_value if len(sizes) == 2 else 0


def _check_names(model: onnx.ModelProto, description: GradientDescription, where: str) -> None:
    weights = {one.name for one in model.graph.initializer}
    inputs = {one.name for one in model.graph.input} - weights
    outputs = {one.name for one in model.graph.output}
    for kind, found, wanted in (
        ("inputs", inputs, set(description.inputs)),
        ("outputs", outputs, set(description.outputs)),
    ):
        if found != wanted:
            raise PredictorError(
                f"{where}: the graph's {kind} are {', '.join(sorted(found)) or 'none'}; expected "
                f"{', '.join(sorted(wanted))}"
            )
