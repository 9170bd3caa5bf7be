from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from qctkit.errors import InputError
from qctkit.memory import Room
from qctkit.pipeline.augment import AugmentOptions, augment
from qctkit.pipeline.augment_memory import TRUSTED_WITHIN, Need, refuse_without_room
from qctkit.predictors.trained import PredictorSet
from qctkit.progress import Silent
from qctkit.registry import load_registry
from qctkit.store.reader import CohortFile
from tests.pipeline.density_loop import DENSITY_LOOP

NEED = Need(held=1e9, work=3e9, workers=2)


def test_each_process_holds_the_plan_and_so_does_the_one_that_waits() -> None:
    assert NEED.bytes == 2 * 4e9 + 1e9
    assert replace(NEED, workers=1).bytes == 4e9


def test_a_run_is_refused_where_memory_is_plainly_lacking() -> None:
    with pytest.raises(InputError, match=r"9\.0 GB .* SLURM leaves 5\.0 GB; .*\(-j 1\)"):
        refuse_without_room(NEED, Room(5e9, "SLURM"))
    with pytest.raises(InputError, match="smaller --batch"):
        refuse_without_room(NEED, Room(1e9, "SLURM"))


def test_a_run_that_may_fit_is_tried() -> None:
    refuse_without_room(NEED, Room(1.01 * NEED.bytes / TRUSTED_WITHIN, "SLURM"))
    refuse_without_room(NEED, None)


def test_nothing_is_written_where_memory_is_lacking(
    real: CohortFile,
    trained: Callable[..., PredictorSet],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "100")
    with pytest.raises(InputError, match="SLURM_MEM_PER_NODE"):
        augment(
            real, DENSITY_LOOP, trained(), load_registry(), AugmentOptions(1), tmp_path / "x.h5",
            Silent(),
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []
