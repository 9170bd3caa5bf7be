"""What a plugin's code raises in a run: told by name, and no end of the run."""

import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest

from qctkit.engine.targets import Target
from qctkit.errors import PluginError
from qctkit.pipeline.augment import AugmentOptions, AugmentResult, augment
from qctkit.pipeline.replay import Replayer
from qctkit.pipeline.validate import validate
from qctkit.predictors.trained import PredictorSet
from qctkit.progress import Silent
from qctkit.registry import Registry, load_registry
from qctkit.store.reader import CohortFile
from tests.pipeline.density_loop import DENSITY_LOOP

MODULE = '''
from qctkit.plugin import Verdict, hookimpl

QCTKIT_API = "1.0"
seen = []

class Picky:
    """Falls over some candidates."""
    name = "picky"
    def judge(self, candidate, reference):
        if candidate.source.sample_id in FALLS_OVER:
            raise KeyError("cannot")
        return Verdict("picky", True, {}, "nothing wrong was found")

class Heavy:
    """Falls over every change."""
    name = "heavy"
    def __call__(self, change):
        raise ValueError("too heavy")

FALLS_OVER = ()

@hookimpl
def register_validators():
    return (Picky(),)

@hookimpl
def register_losses():
    return (Heavy(),)

@hookimpl
def before_run(run):
    seen.append(("before", run["recipe"], [one["name"] for one in run["plugins"]]))
    run.clear()

@hookimpl
def after_candidate(record):
    seen.append((record["candidate_id"], record["accepted"]))

@hookimpl
def after_run(accepted, refused):
    seen.append(("after", accepted, refused))
    raise RuntimeError("bad ending")
'''


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    (tmp_path / "picky_plugin.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("picky_plugin")
    del sys.modules["picky_plugin"]


@pytest.fixture
def registry(plugin: ModuleType) -> Registry:
    picky = EntryPoint("picky-plugin", plugin.__name__, "qctkit")
    femur = EntryPoint("femur-density", "qctkit_femur_density", "qctkit")
    return load_registry([picky, femur], say=lambda _: None)


Make = Callable[..., AugmentResult]


@pytest.fixture
def make(
    real: CohortFile, trained: Callable[..., PredictorSet], registry: Registry, tmp_path: Path
) -> Make:
    def make(**changes: object) -> AugmentResult:
        recipe = replace(DENSITY_LOOP, **changes)
        targets = tuple(
            Target(one, {"age_years": (real.subject(one).age_years or 0.0) + 5.0})
            for one in real.sample_ids[:3]
        )
        options = AugmentOptions(3, seed=3, targets=targets)
        path = tmp_path / "made.h5"
        return augment(real, recipe, trained(), registry, options, path, Silent())

    return make


def test_a_validator_that_raises_refuses_its_candidate_and_the_next_are_made(
    make: Make, plugin: ModuleType, registry: Registry, real: CohortFile
) -> None:
    plugin.FALLS_OVER = real.sample_ids[:1]
    result = make(validators=("structure", "picky"))
    assert (result.accepted, result.refused) == (2, 1)
    (refused,) = CohortFile(result.path).refused
    assert refused["reason"] == (
        "plugin picky-plugin (unknown distribution) failed: validator picky, judge of "
        "candidate-00000: KeyError: 'cannot'"
    )
    assert any("candidate-00000" in one for one in registry.failures)


def test_a_loss_term_that_raises_refuses_the_batch_and_the_run_ends(make: Make) -> None:
    result = make(validators=("structure",), preservation={"size": 0.02, "heavy": 1.0})
    assert (result.accepted, result.refused) == (0, 3)
    for refused in CohortFile(result.path).refused:
        assert "picky-plugin (unknown distribution) failed: Heavy.__call__" in refused["reason"]
        assert "candidates 0 to 2: ValueError: too heavy" in refused["reason"]


def test_observers_see_the_run_and_cannot_change_it(
    make: Make, plugin: ModuleType, registry: Registry
) -> None:
    result = make(validators=("structure", "picky"))
    seen = plugin.seen
    assert seen[0] == ("before", "femur-density", ["femur-density", "picky-plugin"])
    assert seen[1:4] == [(f"candidate-0000{n}", True) for n in range(3)]
    assert seen[4] == ("after", 3, 0)
    assert CohortFile(result.path).run["recipe"] == "femur-density"
    assert any("after_run: RuntimeError: bad ending" in one for one in registry.failures)


def test_a_run_records_the_plugins_that_made_it_and_no_others(make: Make) -> None:
    run = CohortFile(make(validators=("structure",)).path).run
    assert [one["name"] for one in run["plugins"]] == ["femur-density"]


def test_a_validator_that_raises_has_not_passed_a_sample_that_is_judged_again(
    make: Make, plugin: ModuleType, registry: Registry, real: CohortFile
) -> None:
    made = CohortFile(make(validators=("structure", "picky")).path)
    plugin.FALLS_OVER = real.sample_ids[:1]
    found = validate(made, real, registry, Silent())
    assert [one.passed for one in found.checks] == [False, True, True]
    assert "validator picky, judge of" in found.checks[0].verdicts[1].words


@pytest.mark.parametrize("points", [(), (EntryPoint("picky-plugin", "nowhere", "qctkit"),)])
def test_without_the_plugins_that_made_a_file_nothing_is_guessed(
    make: Make, real: CohortFile, points: tuple[EntryPoint, ...]
) -> None:
    made = CohortFile(make(validators=("structure", "picky")).path)
    femur = EntryPoint("femur-density", "qctkit_femur_density", "qctkit")
    without = load_registry([femur, *points], say=lambda _: None)
    why = "broken" if points else "not installed"
    with pytest.raises(PluginError, match=f"made with plugin picky-plugin .*, which is {why}"):
        validate(made, real, without, Silent())
    with pytest.raises(PluginError, match=f"made with plugin picky-plugin .*, which is {why}"):
        Replayer(made, real, without)
