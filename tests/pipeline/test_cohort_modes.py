"""A recipe along the cohort's modes, with a bound, from the atlas to the file and back."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from qctkit.cli.outcome import outcome_lines
from qctkit.contracts import AtMost
from qctkit.engine.targets import Target
from qctkit.pipeline.augment import AugmentOptions, augment
from qctkit.pipeline.info import outcome
from qctkit.pipeline.replay import Replayer
from qctkit.predictors.trained import PredictorSet
from qctkit.progress import Silent
from qctkit.registry import load_registry
from qctkit.store.reader import CohortFile
from tests.pipeline.test_femur_morph import predictors  # noqa: F401

REGISTRY = load_registry(())
BOUND = 0.05
RECIPE = replace(
    REGISTRY.recipe("femur-morph"),
    edits=("cohort-modes",),
    preservation={"mahalanobis": AtMost(BOUND), "total-variation": 0.01},
    attribute_term="uncertainty-weighted",
    validators=("structure",),
    held=(),
    steps=8,
)


@pytest.fixture(scope="module")
def made(
    real: CohortFile,
    predictors: PredictorSet,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> CohortFile:
    path = tmp_path_factory.mktemp("modes") / "made.h5"
    first = real.sample_ids[0]
    target = Target(first, {"age_years": (real.subject(first).age_years or 0.0) + 15.0})
    options = AugmentOptions(1, seed=3, targets=(target,))
    augment(real, RECIPE, predictors, REGISTRY, options, path, Silent())
    return CohortFile(path)


@pytest.fixture(scope="module")
def record(made: CohortFile) -> dict[str, Any]:
    return dict(outcome(made, made.sample_ids[0]))


def test_the_loop_moves_coefficients_and_keeps_the_modes(made: CohortFile) -> None:
    synthesis = made.load(made.sample_ids[0]).synthesis
    assert synthesis is not None
    parameters = synthesis.parameters
    assert np.abs(parameters["coefficients"]).max() > 0.1
    assert np.abs(parameters["density_hu"]).max() > 1.0
    assert np.abs(parameters["shape_mm"]).max() > 0.1


def test_it_replays_to_the_same_bytes_without_the_cohorts_atlas(
    made: CohortFile, real: CohortFile
) -> None:
    Replayer(made, real, REGISTRY).replay(made.sample_ids[0])  # raises where a byte differs


def test_its_bound_holds_and_both_terms_are_on_record(record: dict[str, Any]) -> None:
    bounded, weighed = record["preservation"]
    assert bounded["at_most"] == BOUND
    assert 0.0 < bounded["cost"] <= BOUND
    assert (weighed["term"], weighed["weight"]) == ("total-variation", 0.01)
    assert record["attribute_term"] == "uncertainty-weighted"


def test_a_run_says_what_it_was_asked_to_keep(made: CohortFile) -> None:
    assert made.run["preservation"] == {
        "mahalanobis": {"at_most": BOUND},
        "total-variation": 0.01,
    }
    assert made.run["attribute_term"] == "uncertainty-weighted"


def test_words_tell_of_the_bound_and_how_far_the_change_goes(record: dict[str, Any]) -> None:
    words = "\n".join(outcome_lines(record))
    assert f"at most {BOUND}" in words
    assert "distance_sd" in words
    assert "uncertainty-weighted" in words
