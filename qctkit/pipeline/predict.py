"""``qctkit predict``: what ONNX predictors read of every sample of a cohort. Needs no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qctkit.cohort import Record
from qctkit.contracts import Role
from qctkit.frame import locate
from qctkit.predictors.onnx_description import Evidence
from qctkit.predictors.onnx_loading import load_onnx
from qctkit.predictors.onnx_scoring import Hardware, OnnxPredictor, Readings, combine
from qctkit.progress import Progress, Task
from qctkit.store.reader import CohortFile
from qctkit.subject import AGE, CORE, SEX, WEIGHT
from qctkit.view import View, see

LARGEST_BATCH = 8
"""Beyond this ONNX Runtime gets no faster on the built-in predictors (benchmarks/score.py)."""

BATCH_POINTS = 4_000_000
"""Points of all views in one batch, which bounds memory whatever a predictor's view."""


@dataclass(frozen=True)
class SampleEstimates:
    """What was read of one sample.

    Attributes:
        values: by attribute, in its unit; of a binary one the probability, of sex that of being
            male.
        spreads: standard deviations by attribute, in its unit, where an error was measured.
    """

    sample_id: str
    subject_id: str
    values: Mapping[str, float]
    spreads: Mapping[str, float]

    @property
    def sex(self) -> str | None:
        """F or M, None where sex was not read."""
        probability = self.values.get(SEX.name)
        return None if probability is None else "FM"[probability > 0.5]

    @property
    def others(self) -> tuple[str, ...]:
        """The attributes that were read and that the core does not know."""
        return tuple(name for name in self.values if name not in CORE)

    def record(self) -> Record:
        """Return the estimates as JSON values."""
        return {
            "sample_id": self.sample_id,
            "subject_id": self.subject_id,
            "sex": self.sex,
            "probability_male": self.values.get(SEX.name),
            "age_years": self.values.get(AGE.name),
            "age_years_spread": self.spreads.get(AGE.name),
            "weight_kg": self.values.get(WEIGHT.name),
            "weight_kg_spread": self.spreads.get(WEIGHT.name),
            **{name: self.values[name] for name in self.others},
            **{
                f"{name}_spread": self.spreads[name] for name in self.others if name in self.spreads
            },
        }


@dataclass(frozen=True)
class Predictions:
    """The estimates of a cohort, with what they come from.

    Attributes:
        predictors: names of those that had a say.
        provider, threads: what computed.
        evidence: where their errors, and so the intervals, were measured.
    """

    samples: tuple[SampleEstimates, ...]
    predictors: tuple[str, ...]
    provider: str
    threads: int
    evidence: Evidence


def predict(
    cohort: CohortFile, source: Path, progress: Progress, hardware: Hardware
) -> Predictions:
    """Return what the ONNX predictors of a file or folder read of every sample.

    Of a set that was trained for the loop, only the predictors in the loop have a say: its readers
    are kept to judge.

    Raises:
        PredictorError: a predictor cannot be used, or a GPU was asked for and is not to be had.
    """
    loaded = load_onnx(source, hardware)
    predictors = tuple(one for one in loaded if one.description.role is Role.LOOP) or loaded
    estimates = combine(predictors, score_cohort(cohort, predictors, progress))
    samples = tuple(
        SampleEstimates(
            sample_id,
            cohort.subject(sample_id).subject_id,
            {name: float(found.values[row]) for name, found in estimates.items()},
            {
                name: float(found.spreads[row])
                for name, found in estimates.items()
                if found.spreads is not None
            },
        )
        for row, sample_id in enumerate(cohort.sample_ids)
    )
    return Predictions(
        samples,
        tuple(one.name for one in predictors),
        predictors[0].provider,
        predictors[0].threads,
        predictors[0].description.evidence,
    )


def score_cohort(
    cohort: CohortFile, predictors: Sequence[OnnxPredictor], progress: Progress
) -> list[Readings]:
    """Return the readings of each predictor; one volume and one batch are in memory."""
    views = tuple(dict.fromkeys(one.description.view for one in predictors))
    points = sum(int(np.prod(view.shape)) for view in views)
    size = max(1, min(LARGEST_BATCH, BATCH_POINTS // points))
    readings: list[list[Readings]] = [[] for _ in predictors]
    with progress.task("reading samples", len(cohort)) as task:
        for first in range(0, len(cohort), size):
            images = _images(cohort, cohort.sample_ids[first : first + size], views, task)
            for predictor, read in zip(predictors, readings, strict=True):
                read.append(predictor.read(images[predictor.description.view]))
    return [
        Readings.of_batches(read, len(predictor.attributes))
        for predictor, read in zip(predictors, readings, strict=True)
    ]


def _images(
    cohort: CohortFile, sample_ids: Sequence[str], views: Sequence[View], task: Task
) -> dict[View, NDArray[np.float32]]:
    """Return the samples on each view, ``(N, 2, D, H, W)`` (HU, femur share)."""
    seen: dict[View, list[NDArray[np.float32]]] = {view: [] for view in views}
    for sample_id in sample_ids:
        sample = cohort.load(sample_id)
        frame = locate(sample.femur, sample.volume.geometry)
        for view in views:
            image = see(sample.volume, sample.femur, frame, view)
            seen[view].append(np.stack([image.hu, image.femur]).astype(np.float32))
        task.advance(sample_id)
    return {view: np.stack(images) for view, images in seen.items()}
