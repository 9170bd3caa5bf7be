import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from qctkit.cli.main import COMMANDS


@pytest.mark.parametrize("command", [*((one,) for one in COMMANDS), ("plugins", "list")])
def test_every_command_explains_itself_with_an_example(
    qctkit: Callable[..., Any], command: tuple[str, ...]
) -> None:
    ended = qctkit(*command, "--help")
    assert ended.code == 0
    assert "Example" in ended.out or command == ("plugins",)


def test_plugins_are_listed_with_their_recipes(qctkit: Callable[..., Any]) -> None:
    ended = qctkit("plugins", "list")
    assert ended.code == 0
    assert "recipe femur-density" in ended.out
    assert "recipe voxel-baseline" in ended.out


def test_the_module_runs_too() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "qctkit", "--help"], capture_output=True, text=True, check=True
    )
    assert all(command in ran.stdout for command in COMMANDS)


@pytest.mark.parametrize("arguments", [["--help"], ["augment", "--help"], ["train", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    script = (
        "import sys; from qctkit.cli.main import run; "
        f"code = run({arguments}); print(*sys.modules, file=sys.stderr); sys.exit(code)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert {"numpy", "torch", "h5py", "click"} & set(ran.stderr.split()) == {"click"}


def test_bad_input_in_a_process_of_its_own_ends_with_code_2() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "qctkit", "info", "nowhere.h5"], capture_output=True, text=True
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("Error: nowhere.h5")
