"""A new plugin installs, is found, passes its own tests and its contract, and is typed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from qctkit.cli.plugins import NEW_KINDS
from qctkit.errors import OutputExistsError, PluginError
from qctkit.scaffold.distribution import write_distribution

Run = Callable[..., str]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=NEW_KINDS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new distribution of each kind."""
    folder = tmp_path_factory.mktemp("new") / f"grown-{request.param}"
    write_distribution(folder.name, request.param, folder)
    return folder


@pytest.fixture(scope="module")
def run(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run Python where the distribution is installed, which must end well."""
    site = tmp_path_factory.mktemp("site")

    def run(*arguments: str) -> str:
        paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
        ended = subprocess.run(
            [sys.executable, *arguments],
            cwd=made,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    run(
        "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
        "--target", str(site), str(made),
    )  # fmt: skip
    return run


def test_it_is_found_by_its_entry_point(made: Path, run: Run) -> None:
    plugins = json.loads(run("-m", "qctkit", "plugins", "list", "--json"))
    (mine,) = [one for one in plugins if one["name"] == made.name]
    assert (mine["state"], mine["distribution"]) == ("loaded", made.name)
    assert [made.name] in mine["registers"].values()


def test_its_own_tests_pass(run: Run) -> None:
    assert "passed" in run("-m", "pytest", "-q")


def test_it_keeps_its_contract(made: Path, run: Run) -> None:
    assert "0 not kept" in run("-m", "qctkit", "plugins", "check", made.name)


def test_it_is_formatted(run: Run) -> None:
    run("-m", "ruff", "check", "--select", "E,F,I,UP,B,RUF", "--line-length", "100", ".")
    run("-m", "ruff", "format", "--check", "--line-length", "100", ".")


def test_it_imports_nothing_deeper_than_the_public_face(made: Path) -> None:
    for path in made.rglob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip().startswith(("from qctkit", "import qctkit")):
                assert line.split()[1] in ("qctkit.plugin", "qctkit.testing")


@pytest.mark.parametrize(
    "name", ["Shell", "1shell", "shell_density", "shell--density", "a b", "../x", "-x", "", "class"]
)
def test_a_name_that_cannot_be_a_distribution_and_a_module_is_refused(
    name: str, tmp_path: Path
) -> None:
    with pytest.raises(PluginError):
        write_distribution(name, "validator", tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_would_hide_an_installed_module_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="torch, which is taken"):
        write_distribution("torch", "validator", tmp_path / "new")


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(OutputExistsError):
        write_distribution("fresh-name", "validator", tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["thesis.txt"]


def test_every_kind_is_typed_strictly(tmp_path: Path) -> None:
    modules = []
    for kind in NEW_KINDS:
        write_distribution(f"typed-{kind}", kind, tmp_path / kind)
        modules += ["-p", f"typed_{kind}"]
    # With our own configuration and from our own folder, so that mypy's cache of torch is used.
    path = os.pathsep.join([str(ROOT), *(str(tmp_path / kind) for kind in NEW_KINDS)])
    ended = subprocess.run(
        [sys.executable, "-m", "mypy", *modules],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": path},
        capture_output=True,
        text=True,
    )
    assert "Success" in ended.stdout, ended.stdout + ended.stderr
