"""`qctkit train` on a small simulated cohort: what is written, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from qctkit.contracts import PredictorFamily
from qctkit.errors import PredictorError
from qctkit.networks import Schedule
from qctkit.pipeline.train import (
    measure_leaking_split,
    save_predictors,
    train_and_measure,
)
from qctkit.predictors.density import DensityFamily
from qctkit.predictors.network import network_families
from qctkit.predictors.training import TrainingSettings
from qctkit.progress import Silent
from qctkit.store.reader import CohortFile
from qctkit.view import View, spacing_of

COARSE = View((20, 16, 20), spacing_of(6.0))
SETTINGS = TrainingSettings(folds=2)


@pytest.fixture(scope="module")
def families() -> list[PredictorFamily]:
    networks = {one.name: one for one in network_families()}
    slices = replace(networks["slice-network"], schedule=Schedule(epochs=1), view=COARSE)
    return [DensityFamily(), slices]


def test_metrics_of_held_out_subjects_lie_beside_the_predictors(
    coarse_cohort: CohortFile, families: list[PredictorFamily], tmp_path: Path
) -> None:
    fits = tmp_path / "fits"
    predictors, figures = train_and_measure(coarse_cohort, families, SETTINGS, Silent(), fits)
    assert not fits.exists()
    save_predictors(predictors, tmp_path / "out", overwrite=False, metrics=figures)
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert written["leaks"] is False
    assert written["training"]["device"] == "cpu"
    subjects = written["predictors"]["bone-density"]["age_years"]["per_subject"]
    assert subjects["subjects"] == subjects["readings"] == 8
    assert subjects["mae"]["low"] <= subjects["mae"]["value"] <= subjects["mae"]["high"]
    slices = written["per_slice"]["slice-network"]["sex"]
    assert slices["subjects"] == 8
    assert slices["readings"] > 8 * 8


def test_each_predictor_is_trained_on_its_own_grid(
    coarse_cohort: CohortFile, families: list[PredictorFamily]
) -> None:
    predictors, _ = train_and_measure(coarse_cohort, families, SETTINGS, Silent())
    shapes = {one.name: one.view.shape for one in predictors.predictors}
    assert shapes == {"bone-density": (36, 28, 36), "slice-network": COARSE.shape}
    assert {one.view.window for one in predictors.predictors} == {coarse_cohort.window}


def test_a_split_of_slices_is_marked_and_gives_no_predictors(
    coarse_cohort: CohortFile, families: list[PredictorFamily]
) -> None:
    figures = measure_leaking_split(coarse_cohort, families, SETTINGS, Silent())
    assert figures["leaks"] is True
    assert "predictors" not in figures
    assert figures["per_slice"]["slice-network"]["age_years"]["subjects"] == 8
    with pytest.raises(PredictorError, match="reads slices"):
        measure_leaking_split(coarse_cohort, families[:1], SETTINGS, Silent())
