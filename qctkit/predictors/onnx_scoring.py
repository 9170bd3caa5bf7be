"""Scoring by ONNX Runtime; needs no torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from qctkit.cohort import Record
from qctkit.errors import PredictorError

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
ONLY_ERRORS = 3


class OnnxPredictor:
    """A predictor as an ONNX Runtime session.

    Args:
        path: the ONNX file.
        description: what ``predictors.json`` says of it.
        device: "cpu", "cuda", or "auto", which takes CUDA where ONNX Runtime really gets it.

    Raises:
        PredictorError: the file cannot be loaded, or CUDA was asked for and is not to be had.
    """

    def __init__(self, path: Path, description: Record, device: str = "cpu") -> None:
        self.name: str = description["name"]
        self.attributes: tuple[str, ...] = tuple(description["attributes"])
        self.skills: Record = description["skills"]
        self.role: str = description["role"]
        self._session = _session(path, device)
        self.provider: str = self._session.get_providers()[0]
        if device == "cuda" and self.provider != CUDA:
            raise PredictorError(
                f"--device cuda: ONNX Runtime gave {self.provider} instead of {CUDA}; install CUDA "
                "and cuDNN for this onnxruntime-gpu, or use --device cpu"
            )

    def score(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return estimates ``(N, A)`` of images ``(N, 2, D, H, W)`` (HU, femur share)."""
        (estimates,) = self._session.run(None, {"image": images})
        return np.asarray(estimates, dtype=np.float32)


def combine(
    predictors: Sequence[OnnxPredictor], images: Sequence[NDArray[np.float32]]
) -> Mapping[str, NDArray[np.float64]]:
    """Return one estimate ``(N,)`` per attribute: the predictors' mean, weighed by their skill.

    Each predictor has images of its own view.

    Weights are the inverse squared errors on unseen subjects; a binary attribute's logits are
    weighed by accuracy over chance and returned as a probability.
    """
    sums: dict[str, Any] = {}
    weights: dict[str, float] = {}
    for predictor, own in zip(predictors, images, strict=True):
        estimates = predictor.score(own).astype(np.float64)
        for column, name in enumerate(predictor.attributes):
            figures = predictor.skills[name]["figures"]
            values = estimates[:, column]
            if "accuracy" in figures:
                weight = max(figures["accuracy"] - 0.5, 0.01)
                values = 1.0 / (1.0 + np.exp(-np.clip(values, -30.0, 30.0)))
            else:
                weight = figures["rmse"] ** -2
            sums[name] = sums.get(name, 0.0) + weight * values
            weights[name] = weights.get(name, 0.0) + weight
    return {name: total / weights[name] for name, total in sums.items()}


def _session(path: Path, device: str) -> Any:
    if not path.is_file():
        raise PredictorError(f"{path} is missing; make it with `qctkit export`")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = ONLY_ERRORS
    can_cuda = CUDA in onnxruntime.get_available_providers() and _has_cuda()
    providers = [CUDA, CPU] if device == "cuda" or (device == "auto" and can_cuda) else [CPU]
    if device == "cuda" and not can_cuda:
        raise PredictorError(
            "--device cuda: no CUDA device that ONNX Runtime can use was found; use --device cpu"
        )
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime raises several private types
        raise PredictorError(f"{path} is not a usable ONNX file: {error}") from error


def _has_cuda() -> bool:
    """Whether a driver shows a device; asking ONNX Runtime itself would only say what was built."""
    return any(Path("/proc/driver/nvidia/gpus").glob("*"))
