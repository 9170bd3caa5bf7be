"""``qctkit export``: the ONNX twins of predictors, with the figures of their checks beside them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from qctkit.cohort import Record
from qctkit.contracts import AttributeTerm
from qctkit.errors import PredictorError
from qctkit.predictors.gradient_description import MEASURES_SUFFIX, SUFFIX
from qctkit.predictors.gradient_export import (
    GradientCheck,
    export_gradient,
    export_measures_gradient,
)
from qctkit.predictors.onnx_description import FORMAT, UNSTATED, Description, Evidence
from qctkit.predictors.onnx_export import ExportCheck, export_predictor
from qctkit.predictors.onnx_graph import model_bytes
from qctkit.predictors.onnx_loading import EXPORTED
from qctkit.predictors.onnx_module import OnnxModule
from qctkit.predictors.spread import FeatureReader
from qctkit.predictors.trained import PredictorSet, TrainedPredictor
from qctkit.progress import Progress
from qctkit.store.folder import ReplacedFolder

_Write: TypeAlias = Callable[[TrainedPredictor, Description, AttributeTerm, Path], GradientCheck]


@dataclass(frozen=True)
class Exported:
    """What was checked of each predictor.

    Attributes:
        checks: of its twin, by its name.
        gradients: of each gradient graph, by its file's name.
        without: why a gradient graph could not be had, by the same.
    """

    checks: Mapping[str, ExportCheck]
    gradients: Mapping[str, GradientCheck]
    without: Mapping[str, str]


def export(
    predictors: PredictorSet,
    output: Path,
    progress: Progress,
    *,
    licence: str = UNSTATED,
    gradient: AttributeTerm | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write the ONNX twin of every predictor, and what was checked of each; return the checks.

    With ``gradient`` its value and input gradient go beside it, with this term as its loss, and
    those of its measures where it reads from such. A predictor that came as an ONNX file goes on
    as it is, with the gradient that it may have brought: there is nothing to compare it with, and
    nothing to trace. One whose gradient cannot be traced, or comes out too far off, has none.

    Raises:
        PredictorError: a module cannot be exported, or its twin reads something else.
        OutputExistsError: the folder has something in it and ``overwrite`` is not set.
    """
    descriptions: list[Record] = []
    checks: dict[str, ExportCheck] = {}
    gradients: dict[str, GradientCheck] = {}
    without: dict[str, str] = {}
    with (
        ReplacedFolder(output, overwrite=overwrite) as folder,
        progress.task("exporting to ONNX", len(predictors.predictors)) as task,
    ):
        for predictor in predictors.predictors:
            description, check = _twin(predictor, predictors.training, folder, licence)
            descriptions.append(description.record())
            checks[predictor.name] = check
            if gradient is not None and not isinstance(predictor.module, OnnxModule):
                for file, write in _gradient_files(predictor).items():
                    try:
                        gradients[file] = write(predictor, description, gradient, folder)
                    except PredictorError as error:
                        without[file] = str(error)
            if gradient is not None and predictor.gradient is not None:
                predictor.gradient.save(folder / f"{predictor.name}{SUFFIX}")
            task.advance(predictor.name)
        content = {
            "format": FORMAT,
            "predictors": descriptions,
            "checks": {name: check.record() for name, check in checks.items()},
            "gradients": {name: check.record() for name, check in gradients.items()},
            "without_gradient": without,
        }
        text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False)
        (folder / EXPORTED).write_text(text + "\n", encoding="utf-8")
    return Exported(checks, gradients, without)


def _gradient_files(predictor: TrainedPredictor) -> Mapping[str, _Write]:
    """Return the gradient graphs that a predictor has, by file, and what writes each."""
    readings = {f"{predictor.name}{SUFFIX}": export_gradient}
    if not isinstance(predictor.module, FeatureReader):
        return readings
    return {**readings, f"{predictor.name}{MEASURES_SUFFIX}": export_measures_gradient}


def _twin(
    predictor: TrainedPredictor, training: Record, folder: Path, licence: str
) -> tuple[Description, ExportCheck]:
    if not isinstance(predictor.module, OnnxModule):
        return export_predictor(predictor, training, folder, licence=licence)
    module = predictor.module.predictor
    # A family's file was measured in training; an adopted one's says so already.
    evidence = module.description.evidence
    description = replace(
        module.description,
        skills=dict(predictor.skills),
        evidence=Evidence.COHORT if evidence is Evidence.NONE else evidence,
    )
    path = folder / f"{predictor.name}.onnx"
    path.write_bytes(model_bytes(module.model, description))
    return description, ExportCheck(any_size=False, parities=())
