"""The ONNX twin of a trained predictor, for frozen scoring anywhere."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import torch

from qctkit.cohort import Record
from qctkit.errors import PredictorError
from qctkit.predictors.network import Ensemble
from qctkit.predictors.onnx_description import (
    UNSTATED,
    Channel,
    Description,
    Estimate,
    Evidence,
    Sees,
    factors_of,
)
from qctkit.predictors.onnx_exporter import (
    OPSET,
    exporter_versions,
    first_cause,
    forget_the_exporter,
    quiet,
)
from qctkit.predictors.onnx_graph import model_bytes
from qctkit.predictors.onnx_loading import load_described, looks_outside, trial_images
from qctkit.predictors.onnx_scoring import Hardware, OnnxPredictor
from qctkit.predictors.spread import continuous
from qctkit.predictors.trained import TrainedPredictor
from qctkit.view import View

PARITY_BATCHES = (1, 3, 8)
PARITY_TOLERANCE = 1e-4
"""Largest difference allowed between PyTorch and ONNX Runtime, relative to readings of
at least 1."""

PARITY_POINTS = 20_000_000
"""Points of all views in the largest batch of parity, which takes about 3 GB of memory."""

LARGER_BY = 4
"""Points by which the second size of parity exceeds the view along each axis."""

SMALLEST_SIZE = 8
"""Points along an axis below which a network's strides leave nothing."""


@dataclass(frozen=True)
class Parity:
    """Largest difference from PyTorch at one batch and size ``(D, H, W)``.

    Attributes:
        largest_difference: in years, kg or of a logit.
        relative_difference: the same, relative to readings of at least 1.
    """

    batch: int
    size: tuple[int, int, int]
    largest_difference: float
    relative_difference: float


@dataclass(frozen=True)
class ExportCheck:
    """What was checked of one ONNX file, and what came of it.

    Attributes:
        any_size: whether the graph takes views of other sizes; otherwise it is fixed to its own.
        parities: one a batch size and size of view.
    """

    any_size: bool
    parities: tuple[Parity, ...]

    def record(self) -> Record:
        """Return the figures as JSON values."""
        return asdict(self)


def export_predictor(
    predictor: TrainedPredictor, training: Record, folder: Path, *, licence: str = UNSTATED
) -> tuple[Description, ExportCheck]:
    """Write ``<name>.onnx`` with a free batch, and check it against PyTorch.

    The same predictor gives the same bytes, wherever qctkit is installed.

    Args:
        predictor: what to export.
        training: the record of the training that it comes from.
        folder: where the file goes.
        licence: of the weights.

    Raises:
        PredictorError: the exporter refuses the module, or the two disagree.
    """
    path = folder / f"{predictor.name}.onnx"
    any_size = _export(predictor, path)
    model = onnx.load(path)
    forget_the_exporter(model)
    description = _describe(predictor, training, licence, any_size=any_size)
    path.write_bytes(model_bytes(model, description))
    if not looks_outside(load_described(path, Hardware(threads=1))):
        description = replace(description, sees=Sees.FEMUR_IN_GRAPH)
        path.write_bytes(model_bytes(model, description))
    check = ExportCheck(any_size, tuple(_parities(predictor, path, any_size=any_size)))
    worst = max(one.relative_difference for one in check.parities)
    if not worst <= PARITY_TOLERANCE:
        raise PredictorError(
            f"{predictor.name}: ONNX Runtime and PyTorch differ by {worst:.1e} (at most "
            f"{PARITY_TOLERANCE:.0e} allowed); the export is not to be trusted"
        )
    return description, check


def _describe(
    predictor: TrainedPredictor, training: Record, licence: str, *, any_size: bool
) -> Description:
    module = predictor.module
    versions: Mapping[str, str] = training.get("versions", {})
    return Description(
        name=predictor.name,
        role=predictor.role,
        family=predictor.family,
        estimates=tuple(
            Estimate(name, next(iter(factors_of(name))), column, _spread_column(predictor, name))
            for column, name in enumerate(predictor.attributes)
        ),
        view=predictor.view,
        channels=(Channel.HU, Channel.FEMUR),
        sees=Sees.WHOLE,
        input_name="image",
        output_name="estimates",
        licence=licence,
        cohort_fingerprint=training.get("cohort_fingerprint", ""),
        trained_with=dict(versions),
        exported_with=exporter_versions(),
        skills=dict(predictor.skills),
        evidence=Evidence.HELD_OUT,
        slice_wise=any_size and isinstance(module, Ensemble) and module.slice_wise,
    )


def _spread_column(predictor: TrainedPredictor, name: str) -> int | None:
    """Return where an attribute's spread stands, behind all estimates."""
    names = continuous(predictor.attributes)
    if predictor.spread is None or name not in names:
        return None
    return len(predictor.attributes) + names.index(name)


def _export(predictor: TrainedPredictor, path: Path) -> bool:
    """Export with free sizes where the module allows it; return whether it did."""
    batch = {0: torch.export.Dim("batch", min=1, max=4096)}
    sizes = {
        axis: torch.export.Dim(name, min=SMALLEST_SIZE)
        for axis, name in ((2, "depth"), (3, "height"), (4, "width"))
    }
    if _takes_another_size(predictor):
        try:
            _export_with(predictor, path, batch | sizes)
        except torch.onnx.OnnxExporterError:
            pass  # What PyTorch takes is not always what its exporter can follow.
        else:
            return True
    try:
        _export_with(predictor, path, batch)
    except torch.onnx.OnnxExporterError as error:
        raise PredictorError(
            f"{predictor.name} cannot be exported to ONNX: {first_cause(error)}"
        ) from error
    return False


def _takes_another_size(predictor: TrainedPredictor) -> bool:
    """Return whether the module does; a layer as wide as the flattened view, say, does not.

    The exporter itself cannot be asked: it gives such a graph free sizes that fail when run.
    """
    try:
        with torch.no_grad():
            predictor(torch.from_numpy(trial_images(_larger(predictor.view), 1)))
    except RuntimeError:
        return False
    return True


def _larger(view: View) -> View:
    d, h, w = view.shape
    return replace(view, shape=(d + LARGER_BY, h + LARGER_BY, w + LARGER_BY))


def _export_with(
    predictor: TrainedPredictor, path: Path, free: Mapping[int, torch.export.Dim]
) -> None:
    with quiet():
        torch.onnx.export(
            predictor.answering,
            (torch.from_numpy(trial_images(predictor.view, 2)),),
            path,
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=(dict(free),),
            input_names=["image"],
            output_names=["estimates"],
            external_data=False,
            verbose=False,
        )


def _parities(predictor: TrainedPredictor, path: Path, *, any_size: bool) -> Iterator[Parity]:
    twin = load_described(path, Hardware(threads=1))
    larger = _larger(predictor.view)
    for batch in batches_of(predictor.view, PARITY_BATCHES):
        yield _parity(predictor, twin, predictor.view, batch)
    if any_size:
        batch = batches_of(larger, PARITY_BATCHES[:2])[-1]
        yield _parity(predictor, twin, larger, batch)


def batches_of(view: View, wanted: Sequence[int]) -> list[int]:
    """Return the batch sizes that memory has room for; the first always."""
    most = PARITY_POINTS // math.prod(view.shape)
    return [wanted[0], *(one for one in wanted[1:] if one <= most)]


def _parity(predictor: TrainedPredictor, twin: OnnxPredictor, view: View, batch: int) -> Parity:
    """Compare estimates and spreads, whatever of both the twin gives."""
    images = trial_images(view, batch)
    read = twin.read(images)
    given = ~np.isnan(read.spreads).all(axis=0)
    found = np.concatenate([read.values, read.spreads[:, given]], axis=1)
    with torch.no_grad():
        wanted = predictor.answering(torch.from_numpy(images)).double().numpy()
    difference = np.abs(found - wanted)
    relative = difference / np.maximum(np.abs(wanted), 1.0)
    return Parity(batch, view.shape, float(difference.max()), float(relative.max()))
