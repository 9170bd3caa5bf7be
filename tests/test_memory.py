from pathlib import Path

import pytest

from qctkit import memory
from qctkit.memory import held_bytes, peak_bytes, room


def test_a_process_holds_less_than_its_peak_and_less_than_there_is() -> None:
    here = room({})
    assert here is not None
    assert 10e6 < held_bytes() < 1.05 * peak_bytes()  # Linux counts peaks now and then
    assert held_bytes() < here.bytes


@pytest.mark.parametrize(
    "granted",
    [{"SLURM_MEM_PER_NODE": "64"}, {"SLURM_MEM_PER_CPU": "16", "SLURM_CPUS_ON_NODE": "4"}],
)
def test_what_slurm_granted_is_a_limit(granted: dict[str, str]) -> None:
    here = room(granted)
    assert here is not None
    assert here.bytes == 64 * 2**20
    assert "SLURM_MEM" in here.limited_by


@pytest.mark.parametrize("granted", ["0", "", "64G"])
def test_all_memory_of_a_node_or_an_unknown_amount_is_no_limit(granted: str) -> None:
    here = room({"SLURM_MEM_PER_NODE": granted})
    assert here is not None
    assert "SLURM" not in here.limited_by


def test_the_tightest_control_group_above_a_process_is_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "job" / "step"
    own.mkdir(parents=True)
    (own / "memory.max").write_text("max\n")
    (own.parent / "memory.max").write_text("50000000\n")
    (own.parent / "memory.current").write_text("30000000\n")
    (own.parent / "memory.stat").write_text("anon 10000000\ninactive_file 20000000\n")
    named = tmp_path / "cgroup"
    named.write_text("0::/job/step\n")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    monkeypatch.setattr(memory, "OWN_GROUP", named)
    monkeypatch.setattr(memory, "held_bytes", lambda: 5e6)
    here = room({})
    assert here == memory.Room(45e6, "the control group's limit")
