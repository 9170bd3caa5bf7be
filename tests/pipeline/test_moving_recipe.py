"""A recipe that moves things, from the loop to the file and back."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from qctkit.engine.targets import Target
from qctkit.pipeline.augment import AugmentOptions, augment
from qctkit.pipeline.replay import Replayer
from qctkit.pipeline.validate import validate
from qctkit.predictors.trained import PredictorSet
from qctkit.progress import Silent
from qctkit.registry import load_registry
from qctkit.store.reader import CohortFile
from tests.pipeline.density_loop import DENSITY_LOOP

REGISTRY = load_registry()
RECIPE = replace(
    DENSITY_LOOP,
    name="femur-morph",
    edits=("density-field", "soft-tissue", "morph"),
    preservation={"size": 0.01, "bending": 0.01},
    validators=("structure", "noise-texture"),
    steps=8,
)


@pytest.fixture(scope="module")
def made(
    real: CohortFile, trained: Callable[..., PredictorSet], tmp_path_factory: pytest.TempPathFactory
) -> CohortFile:
    targets = tuple(
        Target(one, {"age_years": (real.subject(one).age_years or 0.0) + 20.0})
        for one in real.sample_ids[:2]
    )
    path = tmp_path_factory.mktemp("made") / "made.h5"
    augment(real, RECIPE, trained(), REGISTRY, AugmentOptions(2, targets=targets), path, Silent())
    return CohortFile(path)


def test_candidates_are_accepted_and_changed_in_the_region_alone(
    made: CohortFile, real: CohortFile
) -> None:
    assert len(made) == 2
    for sample in made:
        assert sample.synthesis is not None
        source = real.load(sample.synthesis.source_sample_id)
        changed = sample.volume.voxels != source.volume.voxels
        assert changed[source.femur.voxels].mean() > 0.5
        assert not changed[~sample.synthesis.region].any()


def test_parameters_and_figures_are_kept_by_edit(made: CohortFile) -> None:
    for sample in made:
        assert sample.synthesis is not None
        assert "morph.velocity_mm" in sample.synthesis.parameters
        figures = sample.synthesis.record["figures"]
        assert figures["morph.least_determinant"] > 0.0
        assert figures["morph.largest_displacement_mm"] > 0.5


def test_samples_are_judged_again_as_they_were(made: CohortFile, real: CohortFile) -> None:
    result = validate(made, real, REGISTRY, Silent())
    assert result.passed
    for sample, check in zip(made, result.checks, strict=True):
        assert sample.synthesis is not None
        before = {one["validator"]: one["figures"] for one in sample.synthesis.record["verdicts"]}
        again = {one.validator: one.figures for one in check.verdicts}
        assert before["structure"] == pytest.approx(again["structure"], abs=1e-3)


def test_a_sample_replays_to_the_same_bytes(made: CohortFile, real: CohortFile) -> None:
    (sample_id, *_) = made.sample_ids
    again = Replayer(made, real, REGISTRY).replay(sample_id)
    np.testing.assert_array_equal(again.femur.voxels, made.load(sample_id).femur.voxels)
