import subprocess
import sys
from pathlib import Path

import pytest

from qctkit.pipeline.defaults import VARIABLE, cache_folder, default_predictors
from qctkit.predictors.density import DensityFamily
from qctkit.predictors.training import TrainingSettings
from qctkit.progress import Silent
from qctkit.registry import Registry, load_registry
from qctkit.store.reader import CohortFile

FAMILIES = "from qctkit.registry import load_registry; print(repr(load_registry().families()))"


def test_the_cache_lies_where_the_variable_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert cache_folder() == tmp_path


def test_the_configuration_of_a_family_reads_the_same_in_every_process() -> None:
    elsewhere = subprocess.check_output([sys.executable, "-c", FAMILIES], text=True)
    assert elsewhere.strip() == repr(load_registry().families())
    assert " at 0x" not in elsewhere


def test_predictors_of_the_same_cohort_and_configuration_are_trained_once(
    real: CohortFile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setattr(Registry, "families", lambda _: (DensityFamily(),))
    said: list[str] = []

    class Told(Silent):
        def say(self, text: str) -> None:
            said.append(text.split()[0])

    for seed in (0, 0, 1):
        settings = TrainingSettings(folds=2, seed=seed)
        default_predictors(real, load_registry(), settings, Told())
    assert said == ["training", "using", "training"]
