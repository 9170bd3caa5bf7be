"""From what the user points at to checked ONNX predictors.

That is a folder that ``qctkit export`` wrote, a single ONNX file that describes itself, or a
model with a description in TOML (the description, or the folder that holds both).
"""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qctkit.cohort import Record
from qctkit.errors import PredictorError
from qctkit.predictors.onnx_description import FORMAT, Description, Sees
from qctkit.predictors.onnx_graph import metadata_of, read_model
from qctkit.predictors.onnx_scoring import Hardware, OnnxPredictor
from qctkit.predictors.onnx_toml import read_toml
from qctkit.view import View

EXPORTED = "predictors.json"

AGREE_WITHIN = 1e-3
"""Difference allowed between a batch and its images one by one, relative to readings of at least 1:
sums may be taken in another order, but images must not be mixed."""


def load_onnx(source: Path, hardware: Hardware) -> tuple[OnnxPredictor, ...]:
    """Return the predictors that a file or folder holds.

    Raises:
        PredictorError: there are none, or one of them cannot be used.
    """
    toml = toml_of(source)
    if toml is not None:
        return (load_toml(toml, hardware),)
    if source.is_dir():
        return tuple(load_described(one, hardware) for one in _exported(source))
    return (load_described(source, hardware),)


def toml_of(source: Path) -> Path | None:
    """Return the description in TOML that a file or folder is or holds, None where it has none.

    Raises:
        PredictorError: a folder holds several, or none and nothing that was exported either.
    """
    if not source.is_dir():
        return source if source.suffix == ".toml" else None
    if (source / EXPORTED).is_file():
        return None
    descriptions = sorted(source.glob("*.toml"))
    if len(descriptions) == 1:
        return descriptions[0]
    raise PredictorError(
        f"{source} holds {len(descriptions)} descriptions in TOML and no {EXPORTED}; give a "
        "folder that `qctkit export` wrote, or a model with one description (docs/onnx.md)"
    )


def load_described(path: Path, hardware: Hardware) -> OnnxPredictor:
    """Return the predictor in an ONNX file that describes itself."""
    model = read_model(path)
    try:
        description = Description.from_metadata(metadata_of(model))
    except PredictorError as error:
        raise PredictorError(f"{path}: {error}") from error
    return _tried(OnnxPredictor(model, description, hardware, str(path)), str(path))


def load_toml(path: Path, hardware: Hardware) -> OnnxPredictor:
    """Return the predictor that a description in TOML names."""
    model, description = read_toml(path)
    return _tried(OnnxPredictor(read_model(model), description, hardware, str(path)), str(path))


def trial_images(view: View, count: int) -> NDArray[np.float32]:
    """Return images ``(N, 2, D, H, W)`` like a femur's: HU of fat to cortex, a central femur."""
    generator = np.random.default_rng(0)
    images = np.zeros((count, 2, *view.shape), dtype=np.float32)
    for image in images:
        generator.standard_normal(out=image[0], dtype=np.float32)
        image[0] = 100.0 + 300.0 * image[0]
        inside = [np.abs(axis / axis[-1]) < 0.7 for axis in view.axes_mm]
        image[1][np.ix_(*inside)] = 1.0
    return images


def looks_outside(predictor: OnnxPredictor) -> bool:
    """Return whether the estimates depend on what lies outside the femur."""
    images = trial_images(predictor.description.view, 1)
    emptied = images.copy()
    emptied[:, 0][images[:, 1] == 0.0] = -1000.0
    # What is ignored is multiplied by 0, so even the last bit stays.
    return not np.array_equal(predictor.score(images), predictor.score(emptied))


def _exported(folder: Path) -> list[Path]:
    path = folder / EXPORTED
    try:
        content: Record = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise PredictorError(
                f"{folder} holds trained predictors; make their ONNX twins with "
                f"`qctkit export {folder} -o onnx/`"
            )
        return [folder / f"{one['name']}.onnx" for one in content["predictors"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PredictorError(f"{path} is damaged ({error}); export again") from error


def _tried(predictor: OnnxPredictor, where: str) -> OnnxPredictor:
    """Return the predictor after a dry run at batch sizes 1 and 2, which must agree."""
    images = trial_images(predictor.description.view, 2)
    together = predictor.score(images)
    singly = np.concatenate([predictor.score(images[:1]), predictor.score(images[1:])])
    if not _agree(together, singly):
        raise PredictorError(
            f"{where}: two images read together give {together.tolist()}, one by one "
            f"{singly.tolist()}; a predictor must read each image alone"
        )
    if predictor.description.sees is Sees.FEMUR_IN_GRAPH and looks_outside(predictor):
        raise PredictorError(
            f'{where}: sees is "{Sees.FEMUR_IN_GRAPH}", but the graph reads something else when '
            f'what is outside the femur changes; state "{Sees.WHOLE}" or "{Sees.FEMUR}"'
        )
    return predictor


def _agree(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    return bool((np.abs(one - other) <= AGREE_WITHIN * np.maximum(np.abs(one), 1.0)).all())
