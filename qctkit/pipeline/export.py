"""``qctkit export``: the ONNX twins of predictors, with the figures of their checks beside them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from qctkit.cohort import Record
from qctkit.contracts import AttributeTerm
from qctkit.errors import PredictorError
from qctkit.predictors.gradient_export import GradientCheck, export_gradient
from qctkit.predictors.onnx_description import FORMAT, UNSTATED, Description, Evidence
from qctkit.predictors.onnx_export import ExportCheck, export_predictor
from qctkit.predictors.onnx_graph import model_bytes
from qctkit.predictors.onnx_loading import EXPORTED
from qctkit.predictors.onnx_module import OnnxModule
from qctkit.predictors.trained import PredictorSet, TrainedPredictor
from qctkit.progress import Progress
from qctkit.store.folder import ReplacedFolder


@dataclass(frozen=True)
class Exported:
    """What was checked of each predictor, by its name.

    Attributes:
        checks: of its twin.
        gradients: of its gradient graph.
        without: why it has no gradient graph.
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

    With ``gradient`` its value and input gradient go beside it, with this term as its loss. A
    predictor that came as an ONNX file goes on as it is: there is nothing to compare it with, and
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
                try:
                    gradients[predictor.name] = export_gradient(
                        predictor, description, gradient, folder
                    )
                except PredictorError as error:
                    without[predictor.name] = str(error)
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
