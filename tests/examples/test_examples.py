"""Every example runs, as a user would run it, on small data."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from qctkit.cohort import Sample, Synthesis
from qctkit.simulate import SimulationSettings, simulate_cohort
from qctkit.store.writer import CohortWriter

EXAMPLES = Path(__file__).parents[2] / "examples"
SUBJECTS = 6
DENSITY_STEP_HU = 40


def run(example: str, *arguments: str | Path) -> str:
    """Run an example with warnings as errors and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / example, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def denser(sample: Sample) -> Sample:
    """Return a made sample: the source with a denser femur."""
    femur = sample.femur.voxels
    return Sample(
        f"{sample.sample_id}-denser",
        sample.subject,
        sample.volume.with_voxels(sample.volume.voxels + DENSITY_STEP_HU * femur),
        sample.femur,
        synthesis=Synthesis(
            sample.sample_id, sample.subject.subject_id, femur, {"recipe": "denser"}
        ),
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A simulated cohort and samples made from it."""
    folder = tmp_path_factory.mktemp("cohorts")
    samples = list(simulate_cohort(SUBJECTS, 0, SimulationSettings(spacing_mm=(5.0, 5.0, 5.0))))
    for name, stored in (("real.h5", samples), ("made.h5", list(map(denser, samples)))):
        with CohortWriter(folder / name, {"command": "test"}) as writer:
            for position, sample in enumerate(stored):
                writer.add(position, sample)
    return folder / "real.h5", folder / "made.h5"


def test_a_cohort_is_read_with_h5py_alone(files):
    printed = run("read_with_h5py.py", files[0])
    rows = [line for line in printed.splitlines() if line.startswith("sim-")]
    assert len(rows) == SUBJECTS
    assert all(row.endswith("yes") for row in rows)
    assert "qctkit" not in re.findall(r"^(?:import|from) (\w+)", _source("read_with_h5py.py"), re.M)


def test_a_made_cohort_is_read_with_h5py_alone_and_names_its_sources(files):
    rows = [line.split() for line in run("read_with_h5py.py", files[1]).splitlines()]
    found = {row[0]: (row[1], row[-1]) for row in rows if row[0].endswith("-denser")}
    assert found["sim-0003-denser"] == ("sim-0003", "yes")
    assert len(found) == SUBJECTS


def test_the_counterfactual_at_85_is_less_dense(tmp_path):
    picture = tmp_path / "look.png"
    printed = run("simulate_and_look.py", "--output", picture, "--spacing-mm", "3", "3", "3")
    change = re.search(r"mean ([+-]\d+) HU in the femur", printed)
    assert change is not None
    assert int(change[1]) < 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_segmentation_prints_dice_of_both_arms_on_unseen_subjects(files):
    printed = run(
        "semi_supervised_segmentation.py", "--cohort", files[0], "--augmented", files[1],
        "--epochs", "2", "--grid", "16", "16", "16", "--spacing-mm", "10",
    )  # fmt: skip
    assert "train: 4 subjects, 4 real scans, 4 made ones (2 made from unseen subjects" in printed
    assert "unseen: n = 2 subjects, 2 real scans" in printed
    dice = re.findall(r"^real (?:only|\+ made) .*?(\d\.\d+)  \[", printed, re.M)
    assert len(dice) == 4
    assert all(0 <= float(value) <= 1 for value in dice)


def test_every_example_is_run_by_a_test_here():
    here = Path(__file__).read_text()
    assert all(f'"{path.name}"' in here for path in EXAMPLES.glob("*.py"))


def _source(example: str) -> str:
    return (EXAMPLES / example).read_text()
