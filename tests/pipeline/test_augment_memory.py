import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from qctkit.errors import InputError
from qctkit.memory import Room
from qctkit.pipeline.augment import AugmentOptions, augment
from qctkit.pipeline.augment_memory import TRUSTED_WITHIN, Need, refuse_without_room
from qctkit.pipeline.resample import resample
from qctkit.predictors.trained import PredictorSet
from qctkit.progress import Silent
from qctkit.registry import load_registry
from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter
from tests.pipeline.density_loop import DENSITY_LOOP

NEED = Need(held=1e9, work=3e9, workers=2)

MEASURED = """
import sys
from pathlib import Path
from qctkit.engine.targets import Target
from qctkit.memory import peak_bytes
from qctkit.pipeline.augment import AugmentOptions, augment
from qctkit.progress import Silent
from qctkit.registry import load_registry
from qctkit.store.reader import CohortFile
from tests.pipeline.density_loop import DENSITY_LOOP
from tests.small_run import small_predictors

class Said(Silent):
    def say(self, text):
        print(text)

folder = Path(sys.argv[1])
large, real = CohortFile(folder / "large.h5"), CohortFile(folder / "real.h5")
(one,) = large.sample_ids
older = Target(one, {"age_years": large.subject(one).age_years + 8.0})
augment(large, DENSITY_LOOP, small_predictors(real, folder), load_registry(),
        AugmentOptions(1, targets=(older,)), folder / "made.h5", Said(), reference=real)
print(peak_bytes() / 1e9)
"""


def test_the_peak_is_as_predicted(real: CohortFile, tmp_path: Path) -> None:
    (tmp_path / "real.h5").write_bytes(real.path.read_bytes())
    with CohortWriter(tmp_path / "large.h5", {}) as writer:
        writer.add(0, resample(real.load(real.sample_ids[0]), (1.0, 0.5, 0.5)))
    command = [sys.executable, "-c", MEASURED, str(tmp_path)]
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    (said,) = (line for line in ran.stdout.splitlines() if line.startswith("about"))
    predicted, measured = float(said.split()[1]), float(ran.stdout.split()[-1])
    assert 1.0 / TRUSTED_WITHIN < measured / predicted < TRUSTED_WITHIN


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
