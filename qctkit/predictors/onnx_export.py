"""The ONNX twin of a trained predictor, for frozen scoring anywhere."""

import json
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch

from qctkit.errors import PredictorError
from qctkit.predictors.onnx_scoring import OnnxPredictor
from qctkit.predictors.trained import TrainedPredictor
from qctkit.view import View

OPSET = 20
PARITY_BATCHES = (1, 3)
PARITY_TOLERANCE = 1e-4
"""Largest difference allowed between PyTorch and ONNX Runtime, in units of the output's spread."""


@dataclass(frozen=True)
class Parity:
    """Largest difference from PyTorch, absolute (years, kg, logit) and relative, per batch size."""

    batch: int
    largest_difference: float
    relative_difference: float


def export_predictor(predictor: TrainedPredictor, folder: Path) -> tuple[Parity, ...]:
    """Write ``<name>.onnx`` with a dynamic batch and check it against PyTorch.

    Raises:
        PredictorError: the exporter refuses the module, or the two disagree.
    """
    path = folder / f"{predictor.name}.onnx"
    example = _images(predictor.view, 2)
    _export(predictor, example, path)
    _describe(predictor, path)
    parities = tuple(_parity(predictor, path, batch) for batch in PARITY_BATCHES)
    worst = max(one.relative_difference for one in parities)
    if worst > PARITY_TOLERANCE:
        raise PredictorError(
            f"{predictor.name}: ONNX Runtime and PyTorch differ by {worst:.1e} (at most "
            f"{PARITY_TOLERANCE:.0e} allowed); the export is not to be trusted"
        )
    return parities


def _export(predictor: TrainedPredictor, example: torch.Tensor, path: Path) -> None:
    # The exporter tells of every optional package that is not there; none of it is ours to say.
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                predictor.module,
                (example,),
                path,
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=4096)},),
                input_names=["image"],
                output_names=["estimates"],
                external_data=False,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error).splitlines()[0]
        raise PredictorError(f"{predictor.name} cannot be exported to ONNX: {reason}") from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _describe(predictor: TrainedPredictor, path: Path) -> None:
    """Put the predictor's contract into the file's own metadata."""
    model = onnx.load(path)
    description = json.dumps(dict(predictor.record()) | {"held_out": {}}, sort_keys=True)
    onnx.helper.set_model_props(model, {"qctkit": description, "licence": "Apache-2.0"})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _parity(predictor: TrainedPredictor, path: Path, batch: int) -> Parity:
    images = _images(predictor.view, batch)
    with torch.no_grad():
        wanted = predictor(images).numpy()
    found = OnnxPredictor(path, predictor.record()).score(images.numpy())
    difference = np.abs(found - wanted)
    relative = difference / np.maximum(np.abs(wanted), 1.0)
    return Parity(batch, float(difference.max()), float(relative.max()))


def _images(view: View, batch: int) -> torch.Tensor:
    """Return images like a femur's: HU of soft tissue to cortex, and a central femur."""
    generator = torch.Generator().manual_seed(0)
    hu = 100.0 + 300.0 * torch.randn(batch, *view.shape, generator=generator)
    offset = torch.from_numpy(np.abs(view.positions_mm / view.half_extent_mm)).amax(dim=-1)
    femur = (offset < 0.7).float().expand_as(hu)
    return torch.stack([hu, femur], dim=1)
