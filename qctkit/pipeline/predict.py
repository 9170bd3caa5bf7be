"""``qctkit export`` and ``qctkit predict``: the ONNX twins and what they read."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from qctkit.cohort import Record
from qctkit.errors import PredictorError
from qctkit.frame import locate
from qctkit.predictors.onnx_export import Parity, export_predictor
from qctkit.predictors.onnx_scoring import OnnxPredictor, combine
from qctkit.predictors.trained import (
    DESCRIPTION,
    PredictorSet,
    read_description,
    view_of,
)
from qctkit.progress import Progress
from qctkit.store.folder import ReplacedFolder
from qctkit.store.reader import CohortFile
from qctkit.view import see


def export(
    predictors: PredictorSet, source: Path, output: Path, progress: Progress, *, overwrite: bool
) -> dict[str, tuple[Parity, ...]]:
    """Write the ONNX twin of every predictor, with its parity figures, and return the figures."""
    parities: dict[str, tuple[Parity, ...]] = {}
    with (
        ReplacedFolder(output, overwrite=overwrite) as folder,
        progress.task("exporting to ONNX", len(predictors.predictors)) as task,
    ):
        for predictor in predictors.predictors:
            parities[predictor.name] = export_predictor(predictor, folder)
            task.advance(predictor.name)
        figures = {name: [asdict(one) for one in found] for name, found in parities.items()}
        description = dict(read_description(source)) | {"parity": figures}
        text = json.dumps(description, indent=1, sort_keys=True, allow_nan=False)
        (folder / DESCRIPTION).write_text(text + "\n", encoding="utf-8")
    return parities


def predict(
    cohort: CohortFile, folder: Path, progress: Progress, *, device: str = "auto"
) -> tuple[list[Record], str]:
    """Return what the ONNX predictors read of every sample, and the provider that computed it."""
    description = read_description(folder)
    entries = description["predictors"]
    if not any(folder.glob("*.onnx")):
        raise PredictorError(
            f"{folder} holds no ONNX files; make them with `qctkit export {folder} -o onnx/`"
        )
    loop = [entry for entry in entries if entry["role"] == "loop"]
    views = [view_of(entry["view"]) for entry in loop]
    predictors = [OnnxPredictor(folder / f"{entry['name']}.onnx", entry, device) for entry in loop]
    rows: list[Record] = []
    with progress.task("reading samples", len(cohort)) as task:
        for sample in cohort:
            frame = locate(sample.femur, sample.volume.geometry)
            seen = {view: see(sample.volume, sample.femur, frame, view) for view in set(views)}
            stacked = [
                np.stack([seen[view].hu, seen[view].femur]).astype(np.float32)[None]
                for view in views
            ]
            read = {name: float(value[0]) for name, value in combine(predictors, stacked).items()}
            probability = read.get("sex")
            rows.append(
                {
                    "sample_id": sample.sample_id,
                    "subject_id": sample.subject.subject_id,
                    "sex": None if probability is None else "FM"[probability > 0.5],
                    "probability_male": probability,
                    "age_years": read.get("age_years"),
                    "weight_kg": read.get("weight_kg"),
                }
            )
            task.advance(sample.sample_id)
    return rows, predictors[0].provider
