"""What ``transfer.py`` judges: candidates of the real pipeline, and of the plain regression.

A witness among the validators lets everything pass and keeps what judges will see, so that
refused candidates are judged too.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage
from transfer_subjects import (
    DENSITY_RECIPES,
    Repeat,
    Shown,
    built_in,
    shown_oracle,
    shown_source,
    targets_of,
)

from qctkit.cohort import Record, Sample
from qctkit.contracts import Candidate, Recipe, Validator, Verdict
from qctkit.density import DensityReference
from qctkit.engine.targets import Target
from qctkit.frame import locate
from qctkit.geometry import FloatArray
from qctkit.pipeline.augment import AugmentOptions, augment
from qctkit.plugin import hookimpl
from qctkit.progress import Silent
from qctkit.registry import Registry
from qctkit.store.reader import CohortFile
from qctkit.subject import ATTRIBUTES
from qctkit.validators.noise_texture import NoiseTexture
from qctkit.view import HIP_VIEW, see_volume
from qctkit.volume import INT16_RANGE

REGRESSION = "atlas-regression"
PENALTY = 0.5
"""Ridge of the plain regression: subjects' worth of belief that an attribute does nothing."""


@dataclass(frozen=True)
class Job:
    """Some sources of a repeat, edited by one recipe: those from ``first`` to before ``last``."""

    repeat: Repeat
    recipe: str
    first: int
    last: int

    @property
    def outcomes(self) -> Path:
        """Where it is kept how each candidate ended; the file appears when all are made."""
        return self.repeat.made(self.recipe) / f"{self.first:04d}-{self.last:04d}.json"


def make(job: Job) -> None:
    """Make the candidates of a job, and their oracles, unless they are there."""
    make_candidates(job)
    targets = targets_of_recipe(job.repeat, job.recipe)[job.first : job.last]
    for person, target in zip(job.repeat.people[job.first : job.last], targets, strict=True):
        shown_source(job.repeat, person)
        shown_oracle(job.repeat, person, target.values, density_only=job.recipe in DENSITY_RECIPES)


def make_candidates(job: Job) -> None:
    """Make the candidates of a job, unless they are there."""
    if job.outcomes.is_file():
        return
    job.outcomes.parent.mkdir(parents=True, exist_ok=True)
    targets = targets_of_recipe(job.repeat, job.recipe)[job.first : job.last]
    outcomes = _add_regression(job, targets) if job.recipe == REGRESSION else _augment(job, targets)
    partial = job.outcomes.with_suffix(".partial")
    partial.write_text(json.dumps(outcomes), encoding="utf-8")
    partial.replace(job.outcomes)


def targets_of_recipe(repeat: Repeat, name: str) -> list[Target]:
    """Return what is asked of each source; the regression is asked what femur-morph is."""
    recipe = built_in().recipe("femur-morph" if name == REGRESSION else name)
    return targets_of(repeat, recipe, repeat.predictors())


def shown_candidate(job_folder: Path, sample_id: str) -> Path:
    """Return where a candidate is kept as judges see it."""
    return job_folder / "shown" / f"{sample_id}.npz"


@dataclass(frozen=True)
class Witness:
    """A validator that passes everything and keeps what it was shown."""

    folder: Path
    name: str = "witness"

    def judge(self, candidate: Candidate, reference: DensityReference) -> Verdict:
        """Keep the candidate as judges see it, and what did not change."""
        source, region = candidate.source, candidate.region
        noise = NoiseTexture().judge(candidate, reference).figures
        outside = ~region
        Shown.of(
            candidate.volume,
            candidate.femur,
            noise={name: value for name, value in noise.items() if name.endswith("ratio")},
            same_mask=bool(np.array_equal(candidate.femur.voxels, source.femur.voxels)),
            same_outside=bool(
                np.array_equal(candidate.volume.voxels[outside], source.volume.voxels[outside])
            ),
        ).save(shown_candidate(self.folder, source.sample_id))
        return Verdict(self.name, True, {}, "seen")


class _Witnesses:
    """The plugin that brings the witness."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness

    @hookimpl
    def register_validators(self) -> tuple[Validator, ...]:
        return (self._witness,)


def _augment(job: Job, targets: list[Target]) -> list[Record]:
    registry, recipe = _watched(job)
    path = job.outcomes.with_suffix(".h5")
    augment(
        job.repeat.source_cohort(),
        recipe,
        job.repeat.predictors(),
        registry,
        AugmentOptions(len(targets), job.repeat.number, len(targets), tuple(targets)),
        path,
        Silent(),
        reference=job.repeat.training_cohort(),
        overwrite=path.is_file(),
        resume=not path.is_file(),
    )
    made = CohortFile(path)
    records = [sample.synthesis.record for sample in made if sample.synthesis]
    return [_outcome(one, recipe) for one in (*records, *made.refused)]


def _watched(job: Job) -> tuple[Registry, Recipe]:
    """Return the recipe with the witness among its validators."""
    witness = Witness(job.outcomes.parent)
    registry = built_in()
    registry.manager.register(_Witnesses(witness), witness.name)
    recipe = registry.recipe(job.recipe)
    return registry, replace(recipe, validators=(*recipe.validators, witness.name))


def _outcome(record: Record, recipe: Recipe) -> dict[str, Any]:
    """Return how a candidate ended, and what the predictors in its loop say."""
    readings = [one for one in record["readings"] if one["predictor"] in recipe.predictors]
    in_loop = {
        name: float(np.mean(found))
        for name in ATTRIBUTES
        if (found := [one["after"] for one in readings if one["attribute"] == name])
    }
    return {
        "source": record["source_sample_id"],
        "accepted": record["accepted"],
        "reason": record["reason"],
        "in_loop": in_loop,
    }


def _add_regression(job: Job, targets: list[Target]) -> list[Record]:
    """Add to each source what the cohort's HU do with the attributes: no loop, no registration."""
    names = tuple(targets[0].values)
    effects = _regression(job.repeat.training_cohort(), names)
    sources = job.repeat.source_cohort()
    for target in targets:
        path = shown_candidate(job.outcomes.parent, target.source_sample_id)
        if path.is_file():
            continue
        source = sources.load(target.source_sample_id)
        change = np.array([target.values[one] - source.subject.value(one) for one in names])
        voxels = _added(source, np.tensordot(change, effects, axes=1))
        Shown.of(replace(source.volume, voxels=voxels), source.femur, noise={}).save(path)
    return [
        {"source": one.source_sample_id, "accepted": True, "reason": "", "in_loop": {}}
        for one in targets
    ]


def _regression(cohort: CohortFile, names: tuple[str, ...]) -> FloatArray:
    """Return the ridge slopes ``(A, D, H, W)`` of HU on the grid of ``HIP_VIEW``, HU per unit."""
    images, values = [], []
    for sample in cohort:
        frame = locate(sample.femur, sample.volume.geometry)
        images.append(see_volume(sample.volume, frame, HIP_VIEW).astype(np.float64))
        values.append([sample.subject.value(name) for name in names])
    table = np.array(values, dtype=np.float64)
    spread = table.std(axis=0)
    design = (table - table.mean(axis=0)) / spread
    hu = np.stack(images).reshape(len(images), -1)
    gram = design.T @ design + PENALTY * np.eye(len(names))
    slopes = np.linalg.solve(gram, design.T @ (hu - hu.mean(axis=0))) / spread[:, None]
    return np.asarray(slopes.reshape(len(names), *HIP_VIEW.shape))


def _added(source: Sample, added_hu: FloatArray) -> np.ndarray:
    """Return a scan's voxels with a field of the femur's frame added, zero beyond its grid."""
    geometry = source.volume.geometry
    frame = locate(source.femur, geometry)
    step = np.asarray(HIP_VIEW.spacing_mm)
    middle = (np.asarray(HIP_VIEW.shape) - 1) / 2
    indices = np.moveaxis(np.indices((1, *geometry.shape[1:])), 0, -1)[0]
    hu = source.volume.voxels.astype(np.float64)
    for level in range(geometry.shape[0]):
        positions = frame.from_world(geometry.to_world(indices + np.array([level, 0, 0])))
        places = np.moveaxis(positions / step + middle, -1, 0)
        hu[level] += ndimage.map_coordinates(added_hu, places, order=1, cval=0.0)
    return np.clip(np.rint(hu), *INT16_RANGE).astype(source.volume.voxels.dtype)
