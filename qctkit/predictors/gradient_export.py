"""A predictor's value and input gradient as one ONNX file, checked against autograd.

Of what it reads, and of one that reads from measures also of what it measures: two files, since a
loop that aims at measures need not read.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from qctkit.cohort import Record
from qctkit.contracts import AttributeTerm
from qctkit.errors import PredictorError
from qctkit.gradients import Array, Asked, Gradients
from qctkit.predictors.gradient_check import (
    LEAST_ERROR,
    TIMES_EAGER,
    Errors,
    errors_of,
    femur_images,
    gradient_errors,
    reference_of,
)
from qctkit.predictors.gradient_description import (
    MEASURES_SUFFIX,
    READINGS,
    SUFFIX,
    GradientDescription,
    measure_names,
)
from qctkit.predictors.gradient_eager import EagerGradients, computing_in, frozen_copy, told
from qctkit.predictors.gradient_onnx import REFERENCE_IMAGES, OnnxGradients, load_gradients
from qctkit.predictors.gradient_trace import trace
from qctkit.predictors.onnx_description import Description
from qctkit.predictors.onnx_export import batches_of
from qctkit.predictors.onnx_exporter import (
    OPSET,
    exporter_versions,
    first_cause,
    forget_the_exporter,
    quiet,
)
from qctkit.predictors.onnx_graph import model_bytes
from qctkit.predictors.onnx_scoring import Hardware
from qctkit.predictors.spread import Measuring
from qctkit.predictors.trained import TrainedPredictor
from qctkit.subject import ATTRIBUTES

CHECKED_BATCHES = (1, 2, 3, 5)
CHECKED_IMAGES = (1, 5, 9)
"""Images over which errors are compared: the most that memory has room for. A single one may be ten
times nearer to float64 or further from it, by chance."""

EXACT_WITHIN = 1e-12
"""Difference allowed between the traced graph and autograd, both in float64."""

MISSED_BY = 0.75
"""Typical errors by which readings miss what is wanted of trial images: within the square of every
term (none bends before 1), and far enough for a gradient."""

LEAST_SPREAD = 1e-3
"""Of a measure among trial images, over values of at least 1: what hardly differs among them would
otherwise weigh more than all others together."""

LARGEST_BATCH = 4096


@dataclass(frozen=True)
class GradientCheck:
    """What was checked of one gradient graph, and what came of it.

    Attributes:
        attribute_term: that is in the graph.
        exact: largest difference of the traced graph from autograd in float64, relative.
        eager: median error of the gradient by PyTorch in float32, over several images.
        errors: the same by ONNX Runtime from the file, by size of batch.
    """

    attribute_term: str
    exact: float
    eager: float
    errors: dict[int, float]

    def record(self) -> Record:
        """Return the figures as JSON values."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class _Traced:
    """What goes into a graph.

    Attributes:
        name: of the predictor.
        module: images ``(N, 2, D, H, W)`` to the columns ``(N, C)``.
        columns: what they are.
        term: what missing one costs.
    """

    name: str
    module: nn.Module
    columns: tuple[str, ...]
    term: AttributeTerm


@dataclass(frozen=True, eq=False)
class _Trial:
    """Images to try a gradient on, what is asked of them, and what eager PyTorch makes of it.

    Attributes:
        exact: in float64, of the very same numbers.
        errors: the largest of PyTorch in float32.
        eager: each sample's error of the gradient in float32, ``(N,)``.
    """

    images: Array
    asked: Asked
    exact: Gradients
    errors: Errors
    eager: Array


def export_gradient(
    predictor: TrainedPredictor, description: Description, term: AttributeTerm, folder: Path
) -> GradientCheck:
    """Write ``<name>.gradient.onnx`` with a free batch, and check it against autograd.

    Args:
        predictor: what to export.
        description: of its twin for scoring.
        term: what missing a reading costs.
        folder: where the file goes.

    Raises:
        PredictorError: an operator cannot be traced or exported, by name, or results disagree.
    """
    traced = _Traced(predictor.name, predictor.module, predictor.attributes, term)
    images = _images(predictor)
    asked = _asked_of_readings(predictor, images)
    path = folder / f"{predictor.name}{SUFFIX}"
    return _written(traced, _trial(traced, images, asked), description, path)


def export_measures_gradient(
    predictor: TrainedPredictor, description: Description, term: AttributeTerm, folder: Path
) -> GradientCheck:
    """Write ``<name>.measures.gradient.onnx``: as ``export_gradient``, of measures for readings.

    Args:
        predictor: one that reads from measures.
        description: of its twin for scoring.
        term: what missing a measure costs.
        folder: where the file goes.

    Raises:
        PredictorError: an operator cannot be traced or exported, by name, or results disagree.
    """
    module = Measuring(predictor.module)  # type: ignore[arg-type] # one that measures
    images = _images(predictor)
    asked = _asked_of_measures(module, images)
    columns = measure_names(asked.wanted.shape[1])
    traced = _Traced(f"{predictor.name}, its measures", module, columns, term)
    path = folder / f"{predictor.name}{MEASURES_SUFFIX}"
    return _written(traced, _trial(traced, images, asked), description, path, len(columns))


def _written(
    traced: _Traced, trial: _Trial, description: Description, path: Path, measures: int = 0
) -> GradientCheck:
    """Write the graph, and return how exact it is."""
    exact = _exactness(traced, trial)
    first = slice(0, REFERENCE_IMAGES)
    exact_first = Gradients(*(one[first] for one in vars(trial.exact).values()))
    reference = reference_of(*_first(trial), exact_first, trial.errors)
    told_of = GradientDescription(
        _readings_alone(description), traced.term.name, reference, measures
    )
    inputs = _tensors(*_first(trial))
    graph = trace(traced.name, traced.module, traced.term, inputs)
    path.write_bytes(model_bytes(_exported(traced.name, graph, inputs, told_of), told_of))
    source = load_gradients(path, Hardware(threads=1))
    eager = float(np.median(trial.eager))
    check = GradientCheck(traced.term.name, exact, eager, _errors_by_batch(source, trial))
    _refuse_disagreement(traced.name, check)
    return check


def _refuse_disagreement(name: str, check: GradientCheck) -> None:
    if not check.exact <= EXACT_WITHIN:
        raise PredictorError(
            f"{name}: the traced gradient differs from autograd by {check.exact:.1e} in float64 "
            f"(at most {EXACT_WITHIN:.0e} allowed); the export is not to be trusted"
        )
    allowed = max(TIMES_EAGER * check.eager, LEAST_ERROR)
    worst = max(check.errors.values())
    if not worst <= allowed:
        raise PredictorError(
            f"{name}: ONNX Runtime's gradient differs from float64 by {worst:.1e}, PyTorch's by "
            f"{check.eager:.1e} (at most {allowed:.1e} allowed); the export is not to be trusted"
        )


def _images(predictor: TrainedPredictor) -> Array:
    """Return images like a femur's, as many as memory has room for."""
    return femur_images(
        predictor.view, max(batches_of(predictor.view, CHECKED_IMAGES)[-1], REFERENCE_IMAGES)
    )


def _trial(traced: _Traced, images: Array, asked: Asked) -> _Trial:
    """Return what eager PyTorch makes of images, in both precisions."""
    single, double = (
        EagerGradients(frozen_copy(traced.module, dtype), traced.columns, traced.term)
        for dtype in (torch.float32, torch.float64)
    )
    eager = single(images, asked)
    with computing_in(torch.float64):
        exact = double(*_in_double(images, asked))
    errors = gradient_errors(eager.gradient, exact.gradient)
    return _Trial(images, asked, exact, errors_of(eager, exact), errors)


def _asked_of_readings(predictor: TrainedPredictor, images: Array) -> Asked:
    """Return what readings miss by three quarters of their typical error; else of 1."""
    names = predictor.attributes
    typical = [
        predictor.skills[one].response.residual_sd if one in predictor.skills else 1.0
        for one in names
    ]
    weight = 1.0 / np.array([one if one > 0.0 else 1.0 for one in typical])
    with torch.no_grad():
        read = predictor.module(torch.from_numpy(images)).numpy()
    # A class that is read too surely for what is wanted: no term takes that for nothing.
    side = np.array([-1.0 if ATTRIBUTES[one].kind == "binary" else 0.0 for one in names])
    all_of = (read - MISSED_BY / weight, weight, side)
    return Asked(*(np.broadcast_to(one, read.shape).astype(np.float32) for one in all_of))


def _asked_of_measures(module: nn.Module, images: Array) -> Asked:
    """Return what measures miss by three quarters of their spread among the images."""
    with torch.no_grad():
        measured = module(torch.from_numpy(images)).numpy()
    least = LEAST_SPREAD * np.maximum(np.abs(measured).mean(axis=0), 1.0)
    spread = np.maximum(measured.std(axis=0), least)
    all_of = (measured - MISSED_BY * spread, 1.0 / spread, np.zeros(1))
    return Asked(*(np.broadcast_to(one, measured.shape).astype(np.float32) for one in all_of))


def _in_double(images: Array, asked: Asked) -> tuple[Array, Asked]:
    return images.astype(np.float64), Asked(*(one.astype(np.float64) for one in told(asked)))


def _exactness(traced: _Traced, trial: _Trial) -> float:
    """Return how far the graph lies from autograd in float64, at another batch than was traced."""
    inputs = _tensors(*_in_double(*_first(trial)))
    graph = trace(traced.name, traced.module, traced.term, inputs)
    with torch.no_grad():
        found = graph(*_tensors(*_in_double(trial.images, trial.asked)))
    errors = errors_of(Gradients(*(one.numpy() for one in found)), trial.exact)
    return max(errors.losses, errors.readings, errors.gradient)


def _first(trial: _Trial) -> tuple[Array, Asked]:
    """Return two images, which is what a free batch is traced with."""
    first = slice(0, REFERENCE_IMAGES)
    return trial.images[first], trial.asked.take(first)


def _tensors(images: Array, asked: Asked) -> list[Tensor]:
    return [torch.from_numpy(np.ascontiguousarray(one)) for one in (images, *told(asked))]


def _exported(
    name: str, graph: GraphModule, inputs: Sequence[Tensor], description: GradientDescription
) -> onnx.ModelProto:
    """Return the graph in ONNX, with a free batch.

    Raises:
        PredictorError: it has an operator without a counterpart in ONNX, which is named.
    """
    batch = {0: torch.export.Dim("batch", min=1, max=LARGEST_BATCH)}
    try:
        with quiet():
            program = torch.onnx.export(
                graph,
                tuple(inputs),
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=(batch,) * len(inputs),
                input_names=list(description.inputs),
                output_names=list(description.outputs),
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise PredictorError(
            f"{name}: its gradient cannot be exported to ONNX: {first_cause(error)}"
        ) from error
    if program is None:
        raise PredictorError(f"{name}: PyTorch's exporter gave no model of its gradient")
    model: onnx.ModelProto = program.model_proto
    forget_the_exporter(model)
    _give_own_weights(model)
    return model


def _give_own_weights(model: onnx.ModelProto) -> None:
    """Copy weights that a Conv and a ConvTranspose share.

    OpenVINO 2026.4 silently computes wrong numbers from shared ones (``performance.md``, section 3;
    [A] that others may, too). PyTorch's exporter would merge copies made in its own graph.
    """
    weights = {one.name: one for one in model.graph.initializer}
    used = {node.input[1] for node in model.graph.node if node.op_type == "Conv"}
    for node in model.graph.node:
        if node.op_type == "ConvTranspose" and node.input[1] in used & weights.keys():
            own = onnx.TensorProto()
            own.CopyFrom(weights[node.input[1]])
            own.name = f"{own.name}_of_{node.output[0]}"
            model.graph.initializer.append(own)
            node.input[1] = own.name


def _readings_alone(description: Description) -> Description:
    """Return what a gradient graph says of its predictor: it gives no spreads, and no parts."""
    return replace(
        description,
        estimates=tuple(
            replace(one, column=column, spread_column=None)
            for column, one in enumerate(description.estimates)
        ),
        output_name=READINGS,
        exported_with=exporter_versions(),
        slice_wise=False,
    )


def _errors_by_batch(source: OnnxGradients, trial: _Trial) -> dict[int, float]:
    """Return the median error of the gradient over all images, in batches of several sizes."""
    found, count = {}, len(trial.images)
    for batch in (one for one in CHECKED_BATCHES if one <= count):
        errors = np.zeros(count)
        for start in (*range(0, count - batch, batch), count - batch):
            rows = slice(start, start + batch)
            gradient = source(trial.images[rows], trial.asked.take(rows)).gradient
            errors[rows] = gradient_errors(gradient, trial.exact.gradient[rows])
        found[batch] = float(np.median(errors))
    return found
