"""``qctkit export``: the ONNX twins of predictors, with the figures of their checks beside them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from qctkit.cohort import Record
from qctkit.predictors.onnx_description import FORMAT, UNSTATED, Description, Evidence
from qctkit.predictors.onnx_export import ExportCheck, export_predictor
from qctkit.predictors.onnx_graph import model_bytes
from qctkit.predictors.onnx_loading import EXPORTED
from qctkit.predictors.onnx_module import OnnxModule
from qctkit.predictors.trained import PredictorSet, TrainedPredictor
from qctkit.progress import Progress
from qctkit.store.folder import ReplacedFolder


def export(
    predictors: PredictorSet,
    output: Path,
    progress: Progress,
    *,
    licence: str = UNSTATED,
    overwrite: bool = False,
) -> Mapping[str, ExportCheck]:
    """Write the ONNX twin of every predictor, and what was checked of each; return the checks.

    A predictor that came as an ONNX file goes on as it is, with nothing to compare it with.

    Raises:
        PredictorError: a module cannot be exported, or its twin reads something else.
        OutputExistsError: the folder has something in it and ``overwrite`` is not set.
    """
    descriptions: list[Record] = []
    checks: dict[str, ExportCheck] = {}
    with (
        ReplacedFolder(output, overwrite=overwrite) as folder,
        progress.task("exporting to ONNX", len(predictors.predictors)) as task,
    ):
        for predictor in predictors.predictors:
            description, check = _twin(predictor, predictors.training, folder, licence)
            descriptions.append(description.record())
            checks[predictor.name] = check
            task.advance(predictor.name)
        content = {
            "format": FORMAT,
            "predictors": descriptions,
            "checks": {name: check.record() for name, check in checks.items()},
        }
        text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False)
        (folder / EXPORTED).write_text(text + "\n", encoding="utf-8")
    return checks


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
