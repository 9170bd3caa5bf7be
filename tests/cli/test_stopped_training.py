"""`qctkit train` that is killed in the middle of a fit: what is left, and where it goes on."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]
CONFIG = """
folds = 2
families = ["sex-network"]
[network.sex-network]
members = 2
epochs = 40
view_shape = [20, 16, 20]
view_spacing_mm = 6.0
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "train.toml"
    path.write_text(CONFIG)
    return path


def _command(real: Path, config: Path, output: Path, *more: str) -> list[str]:
    command = [sys.executable, "-m", "qctkit", "train", f"{real}", "-o", f"{output}"]
    return [*command, "--config", f"{config}", *more]


def _until(condition: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.002)


def _begun(output: Path) -> list[Path]:
    return list(output.parent.glob(f".{output.name}.fits/*.checkpoint"))


@pytest.fixture(scope="module")
def killed(real: Path, config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the fits that a training left which was killed inside the first of them."""
    output = tmp_path_factory.mktemp("killed") / "out"
    process = subprocess.Popen(_command(real, config, output, "--workers", "1"), cwd=ROOT)
    _until(lambda: _begun(output), process)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    fits = output.with_name(".out.fits")
    assert not list(fits.glob("fit-*.safetensors"))
    return fits


def _train(qctkit: Callable[..., Any], real: Path, config: Path, output: Path, *more: str) -> str:
    ended = qctkit("train", real, "-o", output, "--config", config, "--workers", 1, *more)
    assert ended.code == 0
    return str(ended.err)


def test_a_training_killed_inside_a_fit_ends_with_the_weights_of_an_uninterrupted_one(
    qctkit: Callable[..., Any], real: Path, config: Path, killed: Path, tmp_path: Path
) -> None:
    whole, again = tmp_path / "whole", tmp_path / "again"
    _train(qctkit, real, config, whole)
    shutil.copytree(killed, tmp_path / ".again.fits")
    said = _train(qctkit, real, config, again, "--resume")
    assert "going on inside fits that were under way: 1" in said
    expected, found = (load_file(one / "sex-network.safetensors") for one in (whole, again))
    assert all(values.equal(found[name]) for name, values in expected.items())
    for name in ("predictors.json", "metrics.json", "held_out.json"):
        assert (again / name).read_bytes() == (whole / name).read_bytes()
    assert not list(tmp_path.glob(".*.fits"))


def test_what_another_configuration_began_is_not_used(
    qctkit: Callable[..., Any], real: Path, killed: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.toml"
    other.write_text(CONFIG.replace("40", "2"))
    shutil.copytree(killed, tmp_path / ".out.fits")
    said = _train(qctkit, real, other, tmp_path / "out", "--resume")
    assert "another training" in said
    assert "starting afresh" in said
    assert "going on inside" not in said


def _hear_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _children(process: subprocess.Popen[bytes]) -> list[int]:
    return [
        int(one)
        for one in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ]


def _runs(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _stop(real: Path, config: Path, output: Path, how: signal.Signals) -> tuple[int, str]:
    """Send a signal to a training while two workers are inside fits; all must end at once."""
    process = subprocess.Popen(
        _command(real, config, output, "--workers", "2"),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        # A suite that a shell runs in the background inherits an ignored Ctrl-C.
        preexec_fn=_hear_interrupts,
    )
    _until(lambda: len(_begun(output)) >= 2, process)
    workers = _children(process)
    assert len(workers) >= 2
    process.send_signal(how)
    _, told = process.communicate(timeout=20)
    deadline = time.monotonic() + 10
    while any(map(_runs, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process.returncode, told.decode()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc")
def test_a_killed_training_leaves_no_workers(real: Path, config: Path, tmp_path: Path) -> None:
    code, _ = _stop(real, config, tmp_path / "out", signal.SIGKILL)
    assert code == -signal.SIGKILL


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc")
def test_an_interrupted_training_ends_at_once_and_says_how_to_go_on(
    real: Path, config: Path, tmp_path: Path
) -> None:
    code, told = _stop(real, config, tmp_path / "out", signal.SIGINT)
    assert code == 130
    assert "--resume" in told
    assert "Traceback" not in told
