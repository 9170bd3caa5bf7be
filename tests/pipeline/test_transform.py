"""A recipe that optimises nothing, and an attribute that the core does not know on its way."""

import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from qctkit.contracts import Recipe, Transformed
from qctkit.errors import PluginError, ReplayError
from qctkit.pipeline.augment import AugmentOptions, augment
from qctkit.pipeline.replay import Replayer
from qctkit.pipeline.validate import validate
from qctkit.pipeline.verify import verify
from qctkit.plugin import API_VERSION, FemurMask, Volume, hookimpl
from qctkit.predictors.trained import PredictorSet
from qctkit.progress import Silent
from qctkit.registry import Registry, load_registry
from qctkit.report.summary import write_summary
from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter
from qctkit.subject import Origin

MODULE = "planted_transform"


@dataclass
class Shift:
    """Moves the scan by whole voxels along its first axis."""

    name: str = "shift"
    account: str = "the scan is moved by a few slices"
    most: int = 4

    def apply(self, volume: Volume, femur: FemurMask, seed: int) -> Transformed:
        by = int(np.random.default_rng(seed).integers(1, self.most))
        voxels = np.roll(volume.voxels, by, axis=0)
        figures = {"slices": float(by), "least_determinant": 1.0}
        return Transformed(voxels, np.roll(femur.voxels, by, axis=0), figures)


RECIPE = Recipe("shifted", "moves it", transform="shift", validators=("structure",))


@pytest.fixture
def shift() -> Shift:
    return Shift()


@pytest.fixture
def registry(shift: Shift) -> Iterator[Registry]:
    module = types.ModuleType(MODULE)
    module.QCTKIT_API = API_VERSION

    def register_transforms() -> tuple[Shift, ...]:
        return (shift,)

    module.register_transforms = hookimpl(register_transforms)
    sys.modules[MODULE] = module
    yield load_registry([EntryPoint("shift", MODULE, "qctkit")], say=lambda _: None)
    del sys.modules[MODULE]


@pytest.fixture
def cohort(real: CohortFile, grip: str, tmp_path: Path) -> CohortFile:
    """The first of the subjects, with a grip strength."""
    path = tmp_path / "gripping.h5"
    with CohortWriter(path, {"command": "test"}) as writer:
        for position, sample_id in enumerate(real.sample_ids[:4]):
            one = real.load(sample_id)
            held = one.subject.with_values({grip: 20.0 + position}, Origin.TABLE)
            writer.add(position, replace(one, subject=held))
    return CohortFile(path)


def _made(
    cohort: CohortFile, predictors: PredictorSet, registry: Registry, recipe: Recipe = RECIPE
) -> CohortFile:
    path = cohort.path.with_name("made.h5")
    augment(cohort, recipe, predictors, registry, AugmentOptions(2), path, Silent())
    return CohortFile(path)


def test_a_transform_makes_samples_that_keep_every_label(
    cohort: CohortFile, trained: Callable[..., PredictorSet], registry: Registry, grip: str
) -> None:
    made = _made(cohort, trained(), registry)
    assert len(made) == 2
    for sample in made:
        source = cohort.load(sample.synthesis.source_sample_id)
        record = sample.synthesis.record
        by = int(record["figures"]["slices"])
        assert np.array_equal(sample.volume.voxels, np.roll(source.volume.voxels, by, axis=0))
        assert sample.subject == source.subject
        assert record["labels"][grip] == source.subject.value(grip)
        assert (record["carried"], record["edits"], record["transform"]) == ([], [], "shift")
        assert record["stop"] == "nothing to optimise"
    assert [one["name"] for one in made.run["plugins"]] == ["shift"]
    assert validate(made, cohort, registry, Silent()).passed
    assert verify(made, Silent(), against=[cohort]).good
    page = write_summary(made, cohort, cohort.path.with_suffix(".html"), Silent())
    assert "<th>grip strength, kg</th>" in page.read_text(encoding="utf-8")


def test_a_replay_draws_the_same_again_and_notices_another_transform(
    cohort: CohortFile, trained: Callable[..., PredictorSet], registry: Registry, shift: Shift
) -> None:
    made = _made(cohort, trained(), registry)
    replayer = Replayer(made, cohort, registry)
    for sample_id in made.sample_ids:
        again = replayer.replay(sample_id)
        assert np.array_equal(again.volume.voxels, made.load(sample_id).volume.voxels)
    shift.most = 2
    with pytest.raises(ReplayError, match="voxels differ"):
        [replayer.replay(one) for one in made.sample_ids]


def test_what_is_no_scan_refuses_the_candidate_in_the_name_of_the_plugin(
    cohort: CohortFile,
    trained: Callable[..., PredictorSet],
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nothing = Transformed(np.zeros((1, 1, 1)), np.zeros((1, 1, 1), dtype=bool))
    monkeypatch.setattr(Shift, "apply", lambda *_: nothing)
    made = _made(cohort, trained(), registry)
    assert len(made) == 0
    assert made.refused[0]["reason"].startswith(
        "plugin shift (unknown distribution) failed: transform shift, candidate-00000: ValueError"
    )


def test_a_transform_that_shall_be_driven_is_refused(
    cohort: CohortFile, trained: Callable[..., PredictorSet], registry: Registry
) -> None:
    driven = replace(RECIPE, may_carry=("age_years",), carried_by="bone-density")
    with pytest.raises(PluginError, match="a transform is not driven"):
        _made(cohort, trained(), registry, driven)
