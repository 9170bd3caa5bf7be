import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from qctkit.cohort import Sample
from qctkit.errors import OutputExistsError, QctkitError
from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter

RUN = {"seed": 0}


def _write(path: Path, samples: list[Sample], **options: bool) -> None:
    with CohortWriter(path, RUN, **options) as writer:
        for position, sample in enumerate(samples):
            if not writer.done(position):
                writer.add(position, sample)


@pytest.fixture
def samples(make: Callable[..., Sample]) -> list[Sample]:
    return [make(name, seed=seed) for seed, name in enumerate("CAB")]


def test_the_output_is_there_only_when_it_is_whole(tmp_path: Path, samples: list[Sample]) -> None:
    path = tmp_path / "c.h5"
    with CohortWriter(path, RUN) as writer:
        writer.add(0, samples[0])
        assert not path.exists()
        assert writer.stored() == (1, 0)
        writer.refuse(1, {"reason": "x"})
        assert writer.stored() == (1, 1)
    assert [one.name for one in tmp_path.iterdir()] == ["c.h5"]


def test_a_part_may_hold_several_samples_in_their_order(
    tmp_path: Path, samples: list[Sample]
) -> None:
    with CohortWriter(tmp_path / "c.h5", RUN) as writer:
        writer.add(1, samples[1])
        writer.add(0, samples[0], samples[2])
        assert writer.stored() == (3, 0)
    cohort = CohortFile(tmp_path / "c.h5")
    assert [one.sample_id for one in cohort] == ["C", "B", "A"]


def test_what_is_set_aside_counts_only_when_it_is_taken(
    tmp_path: Path, samples: list[Sample]
) -> None:
    with CohortWriter(tmp_path / "c.h5", RUN) as writer:
        for position, sample in enumerate(samples):
            pickle.loads(pickle.dumps(writer)).set_aside(position, sample)
        assert writer.stored() == (0, 0)
        writer.take(2)
        writer.take(0)
        assert writer.stored() == (2, 0)
    assert CohortFile(tmp_path / "c.h5").sample_ids == ("C", "B")
    assert [one.name for one in tmp_path.iterdir()] == ["c.h5"]


def test_parts_that_another_process_wrote_are_found(tmp_path: Path, samples: list[Sample]) -> None:
    with CohortWriter(tmp_path / "c.h5", RUN) as writer:
        for position, sample in enumerate(samples):
            pickle.loads(pickle.dumps(writer)).add(position, sample)
        assert writer.stored() == (3, 0)
    assert CohortFile(tmp_path / "c.h5").sample_ids == ("C", "A", "B")


def test_an_error_leaves_nothing(tmp_path: Path, samples: list[Sample]) -> None:
    def run() -> None:
        with CohortWriter(tmp_path / "c.h5", RUN) as writer:
            writer.add(0, samples[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert list(tmp_path.iterdir()) == []


def _interrupt(path: Path, samples: list[Sample]) -> None:
    with CohortWriter(path, RUN, keep_parts=True) as writer:
        for position, sample in enumerate(samples):
            writer.add(position, sample)
        raise KeyboardInterrupt


def test_an_interrupted_run_keeps_whole_parts_that_are_cohorts(
    tmp_path: Path, samples: list[Sample]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        _interrupt(tmp_path / "c.h5", samples[:2])
    parts = sorted((tmp_path / "c.h5.parts").glob("[0-9]*.h5"))
    assert [CohortFile(one).sample_ids for one in parts] == [("C",), ("A",)]


def test_a_part_that_fails_half_way_is_not_there(
    tmp_path: Path, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    with CohortWriter(tmp_path / "c.h5", RUN) as writer:
        writer.add(0, samples[0])
        monkeypatch.setattr("qctkit.store.writer.write_group", fail)
        with pytest.raises(QctkitError, match="is the disk full"):
            writer.add(1, samples[1])
        assert [one.name for one in writer.parts.glob("[0-9]*.h5")] == ["000000.h5"]
    assert CohortFile(tmp_path / "c.h5").sample_ids == ("C",)


def test_a_resumed_run_gives_the_bytes_of_an_uninterrupted_one(
    tmp_path: Path, samples: list[Sample]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        _interrupt(tmp_path / "a.h5", samples[:2])
    _write(tmp_path / "a.h5", samples, resume=True)
    _write(tmp_path / "b.h5", samples)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_parts_written_out_of_order_give_the_same_bytes(
    tmp_path: Path, samples: list[Sample]
) -> None:
    with CohortWriter(tmp_path / "a.h5", RUN) as writer:
        for position in (2, 0, 1):
            writer.add(position, samples[position])
    _write(tmp_path / "b.h5", samples)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_an_interrupted_run_is_not_forgotten_by_accident(
    tmp_path: Path, samples: list[Sample]
) -> None:
    path = tmp_path / "c.h5"
    with pytest.raises(KeyboardInterrupt):
        _interrupt(path, samples[:2])
    with pytest.raises(OutputExistsError, match="--resume"):
        CohortWriter(path, RUN)
    _write(path, samples[2:], overwrite=True)
    assert CohortFile(path).sample_ids == ("B",)


def test_an_existing_output_is_refused_and_kept(tmp_path: Path, samples: list[Sample]) -> None:
    path = tmp_path / "c.h5"
    _write(path, samples[:1])
    before = path.read_bytes()
    with pytest.raises(OutputExistsError, match="--overwrite"):
        CohortWriter(path, RUN)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["c.h5"]


def test_overwrite_keeps_the_old_output_until_the_new_one_is_whole(
    tmp_path: Path, samples: list[Sample]
) -> None:
    path = tmp_path / "c.h5"
    _write(path, samples[:1])
    with CohortWriter(path, RUN, overwrite=True) as writer:
        writer.add(0, samples[1])
        assert CohortFile(path).sample_ids == ("C",)
    assert CohortFile(path).sample_ids == ("A",)


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import conftest
from qctkit.store.writer import CohortWriter
with CohortWriter(Path(sys.argv[1]), {"seed": 0}, keep_parts=True, resume=True) as writer:
    position = 0
    while True:
        if not writer.done(position):
            writer.add(position, conftest.make_sample(f"S{position}", seed=position))
        position += 1
"""


def _kill_after_parts(path: Path, count: int) -> None:
    """Run a process that adds samples without end, and kill it in the middle of one."""
    tests = str(Path(__file__).parents[1])
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path), tests])
    deadline = time.monotonic() + 60
    while len(list(path.parent.glob("*.parts/0*.h5"))) < count:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def test_a_kill_leaves_whole_parts_and_resuming_gives_the_same_bytes(
    tmp_path: Path, make: Callable[..., Sample]
) -> None:
    path = tmp_path / "a.h5"
    for count in (2, 5):
        _kill_after_parts(path, count)
        assert not path.exists()
    parts = sorted((tmp_path / "a.h5.parts").glob("0*.h5"))
    for one in parts:
        list(CohortFile(one))
    samples = [make(f"S{seed}", seed=seed) for seed in range(len(parts) + 2)]
    _write(path, samples, resume=True)
    _write(tmp_path / "b.h5", samples)
    assert path.read_bytes() == (tmp_path / "b.h5").read_bytes()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.h5", "b.h5"]


def test_two_runs_cannot_write_one_output(tmp_path: Path) -> None:
    with CohortWriter(tmp_path / "c.h5", RUN, keep_parts=True):
        for way in ({"resume": True}, {"overwrite": True}):
            with pytest.raises(OutputExistsError, match="being written by another run"):
                CohortWriter(tmp_path / "c.h5", RUN, **way)


def test_a_writer_goes_to_another_process_without_its_lock(tmp_path: Path) -> None:
    with CohortWriter(tmp_path / "c.h5", RUN) as writer:
        assert pickle.loads(pickle.dumps(writer)).parts == writer.parts
