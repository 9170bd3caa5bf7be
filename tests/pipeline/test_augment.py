from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qctkit.engine.targets import Target
from qctkit.errors import PluginError
from qctkit.pipeline.augment import AugmentOptions, augment
from qctkit.pipeline.augment_plan import BATCH
from qctkit.predictors.trained import PredictorSet
from qctkit.progress import Silent, Task
from qctkit.registry import load_registry
from qctkit.store.reader import CohortFile
from qctkit.subject import Origin
from tests.pipeline.density_loop import DENSITY_LOOP

REGISTRY = load_registry()


@pytest.fixture(scope="module")
def made(
    real: CohortFile, trained: Callable[..., PredictorSet], tmp_path_factory: pytest.TempPathFactory
) -> CohortFile:
    """Return samples asked to be ten years older, judged on structure alone."""
    targets = tuple(
        Target(one, {"age_years": (real.subject(one).age_years or 0.0) + 10.0})
        for one in real.sample_ids[:4]
    )
    path = tmp_path_factory.mktemp("made") / "made.h5"
    recipe = replace(DENSITY_LOOP, validators=("structure",))
    options = AugmentOptions(4, seed=3, targets=targets)
    augment(real, recipe, trained(), REGISTRY, options, path, Silent())
    return CohortFile(path)


def test_the_label_of_a_carried_attribute_is_its_target_and_the_others_are_the_sources(
    made: CohortFile, real: CohortFile
) -> None:
    assert len(made) == 4
    for sample in made:
        assert sample.synthesis is not None
        source = real.load(sample.synthesis.source_sample_id).subject
        assert sample.subject.age_years == (source.age_years or 0.0) + 10.0
        assert sample.subject.origin("age_years") is Origin.TARGET
        assert (sample.subject.sex, sample.subject.weight_kg) == (source.sex, source.weight_kg)


def test_growing_older_loses_bone(made: CohortFile, real: CohortFile) -> None:
    for sample in made:
        assert sample.synthesis is not None
        source = real.load(sample.synthesis.source_sample_id)
        inside = source.femur.voxels
        change = sample.volume.voxels[inside].astype(float) - source.volume.voxels[inside]
        assert change.mean() < 0


def test_every_voxel_outside_the_region_is_the_sources(made: CohortFile, real: CohortFile) -> None:
    for sample in made:
        assert sample.synthesis is not None
        source = real.load(sample.synthesis.source_sample_id)
        outside = ~sample.synthesis.region
        assert np.array_equal(sample.volume.voxels[outside], source.volume.voxels[outside])


def test_readings_are_asked_of_the_predictors_own_line(made: CohortFile) -> None:
    for sample in made:
        assert sample.synthesis is not None
        for one in sample.synthesis.record["readings"]:
            if one["attribute"] == "age_years":
                assert one["expected"] - one["before"] == pytest.approx(0.6 * 10.0, abs=1e-3)


def test_a_reader_in_the_loop_is_refused(
    real: CohortFile, trained: Callable[..., PredictorSet], tmp_path: Path
) -> None:
    recipe = replace(DENSITY_LOOP, predictors=("reader-network",))
    with pytest.raises(PluginError, match="it is a reader"):
        augment(real, recipe, trained(), REGISTRY, AugmentOptions(1), tmp_path / "x.h5", Silent())
    assert list(tmp_path.iterdir()) == []


def test_the_number_of_workers_changes_no_byte(
    real: CohortFile, trained: Callable[..., PredictorSet], tmp_path: Path
) -> None:
    targets = tuple(
        Target(one, {"age_years": (real.subject(one).age_years or 0.0) + years})
        for years in (2.0, -2.0, 3.0, -3.0)
        for one in real.sample_ids
    )
    wanted = BATCH + 2
    assert len(targets) > 2 * BATCH
    recipe = replace(DENSITY_LOOP, validators=("structure",), steps=2)
    options = AugmentOptions(wanted, seed=3, targets=targets)
    files = [tmp_path / "one.h5", tmp_path / "two.h5"]
    for workers, path in enumerate(files, start=1):
        result = augment(
            real, recipe, trained(), REGISTRY, options, path, Silent(), workers=workers
        )
        assert result.accepted == wanted
    one, two = (path.read_bytes() for path in files)
    assert one == two


def test_a_resumed_run_goes_on_with_the_batch_that_it_began_with(
    real: CohortFile, trained: Callable[..., PredictorSet], tmp_path: Path
) -> None:
    recipe = replace(DENSITY_LOOP, validators=("structure",), steps=2)
    options = AugmentOptions(6, seed=3, max_candidates=12, batch=2)
    whole = tmp_path / "whole.h5"
    making = real, recipe, trained(), REGISTRY
    augment(*making, options, whole, Silent())
    stopped = tmp_path / "stopped.h5"
    with pytest.raises(KeyboardInterrupt):
        augment(*making, options, stopped, Stopping(3))
    augment(*making, replace(options, batch=None), stopped, Silent(), resume=True)
    assert stopped.read_bytes() == whole.read_bytes()
    assert CohortFile(stopped).run["batch"] == 2


class Stopping(Silent):
    """Progress that interrupts the run after so many samples."""

    def __init__(self, samples: int) -> None:
        self._left = [samples]

    def task(self, title: str, total: int) -> AbstractContextManager[Task]:  # noqa: ARG002
        return nullcontext(self if title == "making samples" else Silent())

    def advance(self, label: str = "") -> None:  # noqa: ARG002
        self._left[0] -= 1
        if self._left[0] == 0:
            raise KeyboardInterrupt
