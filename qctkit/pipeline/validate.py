"""``qctkit validate``: every made sample judged again, and the cohort's figures."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from qctkit.cohort import REPLAYED, Record, Sample, Synthesis
from qctkit.contracts import Candidate, Reading, Role, Verdict
from qctkit.density import measure_density
from qctkit.engine.edits.composition import compose
from qctkit.engine.render import moved_hu
from qctkit.errors import CohortFileError
from qctkit.frame import locate
from qctkit.networks import one_thread
from qctkit.pipeline import transformed
from qctkit.pipeline.augment_record import TRANSFORM
from qctkit.pipeline.needed_plugins import refuse_without_plugins
from qctkit.pipeline.reference import cohort_reference
from qctkit.pipeline.verdict import verdict_of
from qctkit.predictors.onnx_description import view_of
from qctkit.progress import Progress
from qctkit.registry import Registry
from qctkit.store.reader import CohortFile


@dataclass(frozen=True)
class SampleCheck:
    """The verdicts on one made sample, judged anew from its voxels."""

    sample_id: str
    source_sample_id: str
    verdicts: tuple[Verdict, ...]

    @property
    def passed(self) -> bool:
        """Whether every validator passed."""
        return all(verdict.passed for verdict in self.verdicts)


@dataclass(frozen=True)
class Validation:
    """Verdicts on every sample and means over them.

    Attributes:
        figures: means over samples of the change in density (HU, share of the bone band) and of
            what readers outside the loop read, with the number of samples and refusals.
    """

    checks: tuple[SampleCheck, ...]
    figures: dict[str, float]

    @property
    def passed(self) -> bool:
        """Whether every sample passed."""
        return all(check.passed for check in self.checks)

    def record(self) -> Record:
        """Return everything as JSON values."""
        return {
            "passed": self.passed,
            "figures": self.figures,
            "samples": [
                {
                    "sample_id": check.sample_id,
                    "source_sample_id": check.source_sample_id,
                    "passed": check.passed,
                    "verdicts": [verdict.record() for verdict in check.verdicts],
                }
                for check in self.checks
            ],
        }


def validate(
    made: CohortFile,
    real: CohortFile,
    registry: Registry,
    progress: Progress,
    *,
    reference: CohortFile | None = None,
) -> Validation:
    """Judge every made sample again, from its voxels and its source's.

    Readings are those recorded when the sample was made; voxels, region and labels are judged
    anew. Density is judged against ``reference``, where the samples were made with another one
    than the cohort of their sources.

    Raises:
        CohortFileError: the file holds no made samples, or was made from another cohort or with
            another reference.
        PluginError: a plugin that made the file is missing.
    """
    if made.run.get("command") != "augment":
        raise CohortFileError(f"{made.path} holds no made samples; give a file of `qctkit augment`")
    if made.run["cohort_fingerprint"] != real.fingerprint:
        raise CohortFileError(
            f"{made.path} was not made from {real.path}; give --against the cohort it came from"
        )
    reference = real if reference is None else reference
    if made.run.get("reference_fingerprint", real.fingerprint) != reference.fingerprint:
        raise CohortFileError(
            f"{made.path} was not made with {reference.path} as reference; give --reference the "
            "cohort that `qctkit augment` had as --reference"
        )
    refuse_without_plugins(made, registry)
    validators = [registry.validator(name) for name in made.run["validators"]]
    densities = cohort_reference(reference, progress)
    checks, rows = [], []
    with progress.task("judging samples", len(made)) as task:
        for sample in made:
            candidate = _candidate(sample, real, registry)
            verdicts = tuple(
                verdict_of(registry, one, candidate, densities, sample.sample_id)
                for one in validators
            )
            source_id = candidate.source.sample_id
            checks.append(SampleCheck(sample.sample_id, source_id, verdicts))
            rows.append(_changes(candidate))
            task.advance(sample.sample_id)
    figures = {"samples": float(len(made)), "refused": float(len(made.refused))} | _means(rows)
    return Validation(tuple(checks), figures)


def _candidate(sample: Sample, real: CohortFile, registry: Registry) -> Candidate:
    if sample.synthesis is None:
        raise CohortFileError(f"sample {sample.sample_id} does not say what it was made from")
    record = sample.synthesis.record
    if REPLAYED in record:
        raise CohortFileError(
            f"sample {sample.sample_id} was replayed on another grid than its source's, with which "
            "it cannot be compared; validate the file that it was replayed from"
        )
    source = real.load(sample.synthesis.source_sample_id)
    return Candidate(
        source=source,
        volume=sample.volume,
        femur=sample.femur,
        region=sample.synthesis.region,
        label=sample.subject,
        carried=tuple(record["carried"]),
        readings=tuple(Reading(**{**one, "role": Role(one["role"])}) for one in record["readings"]),
        figures=record["figures"],
        moved_hu=(
            transformed.moved_hu(source, sample.volume, sample.femur)
            if TRANSFORM in record
            else _moved_hu(sample.synthesis, source, registry)
        ),
    )


def _moved_hu(
    synthesis: Synthesis, source: Sample, registry: Registry
) -> NDArray[np.float32] | None:
    """Return the source moved as the sample's edit moved it; None where it moved nothing."""
    record = synthesis.record
    edit = compose([registry.edit(name) for name in record["edits"]])
    if not edit.reach_mm:
        return None
    parameters = {
        name: torch.from_numpy(np.array(values)) for name, values in synthesis.parameters.items()
    }
    frame = locate(source.femur, source.volume.geometry)
    with one_thread():
        return moved_hu(source, edit, parameters, synthesis.region, frame, view_of(record["view"]))


def _changes(candidate: Candidate) -> dict[str, float]:
    """Return the changes of one sample from its source, by name with unit."""
    before = measure_density(candidate.source.volume, candidate.source.femur)
    after = measure_density(candidate.volume, candidate.femur)
    old, new = (one.voxels.astype(float) for one in (candidate.source.volume, candidate.volume))
    inside = candidate.source.femur.voxels
    changes = {
        "femur_change_hu": float(new[candidate.femur.voxels].mean() - old[inside].mean()),
        "femur_voxel_change_hu": float(np.abs(new[inside] - old[inside]).mean()),
        "trabecular_change_hu": after.trabecular_hu - before.trabecular_hu,
        "cortical_change_hu": after.cortical_hu - before.cortical_hu,
        "bone_band_share_change": after.bone_band_share - before.bone_band_share,
    }
    if before.bone_band_peak_hu is not None and after.bone_band_peak_hu is not None:
        changes["bone_band_peak_change_hu"] = after.bone_band_peak_hu - before.bone_band_peak_hu
    for one in candidate.readings:
        if one.role is Role.READER:
            name = f"{one.predictor}_{one.attribute}"
            changes[f"{name}_change_read"] = one.after - one.before
            if one.attribute in candidate.carried:
                changes[f"{name}_change_expected"] = one.expected - one.before
    return changes


def _means(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean and the mean absolute value of each change over the samples that have it."""
    names = sorted({name for row in rows for name in row})
    means = {}
    for name in names:
        values = np.array([row[name] for row in rows if name in row])
        means[f"mean_{name}"] = float(values.mean())
        means[f"mean_size_of_{name}"] = float(np.abs(values).mean())
    return means
