"""Samples of one cohort, judged by the densities of another."""

import json
from pathlib import Path

import pytest

from qctkit.cli.main import run
from qctkit.engine.targets import Target
from qctkit.pipeline.augment import AugmentOptions, augment
from qctkit.pipeline.simulate import simulate
from qctkit.progress import Silent
from qctkit.registry import load_registry
from qctkit.store.reader import CohortFile
from tests.small_run import COARSE, SmallRun, small_predictors, small_recipe


def test_samples_are_judged_by_the_reference_that_they_were_made_with(
    small_run: SmallRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Judged anew, each verdict has the figures that it had when the sample was made."""
    reference, registry = CohortFile(small_run.real), load_registry()
    others = simulate(tmp_path / "others.h5", Silent(), subjects=1, seed=5, settings=COARSE)
    (source,) = others.sample_ids
    targets = (Target(source, {"age_years": (others.subject(source).age_years or 0.0) + 5.0}),)
    path = tmp_path / "made.h5"
    augment(
        others,
        small_recipe(registry),
        small_predictors(reference, tmp_path),
        registry,
        AugmentOptions(1, seed=3, targets=targets),
        path,
        Silent(),
        reference=reference,
    )
    given = ["validate", f"{path}", "--against", f"{others.path}"]
    assert run([*given, "--reference", f"{reference.path}", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["samples"]
    (sample,) = CohortFile(path)
    assert sample.synthesis is not None
    assert found["verdicts"] == sample.synthesis.record["verdicts"]
    assert run(given) == 2
    assert f"{others.path} as reference" in capsys.readouterr().err
