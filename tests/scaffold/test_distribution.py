"""New plugins install, are found, pass their own tests and their contracts, and are typed."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qctkit.cli.main import run
from qctkit.cli.plugins import NEW_KINDS
from qctkit.errors import OutputExistsError, PluginError
from qctkit.scaffold.distribution import write_distribution

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A new distribution of each kind, by its name."""
    folder = tmp_path_factory.mktemp("new")
    names = [f"grown-{kind}" for kind in NEW_KINDS]
    for kind, name in zip(NEW_KINDS, names, strict=True):
        write_distribution(name, kind, folder / name)
    return {name: folder / name for name in names}


@pytest.fixture(scope="module")
def site(made: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where they are all installed."""
    site = tmp_path_factory.mktemp("site")
    _python(
        ROOT, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
        "--target", f"{site}", *map(str, made.values()),
    )  # fmt: skip
    return site


@pytest.fixture
def installed(
    site: Path, made: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, ...]]:
    """Return the names of distributions that this process finds installed."""
    monkeypatch.syspath_prepend(str(site))
    yield tuple(made)
    for name in [one for one in sys.modules if one.startswith("grown_")]:
        del sys.modules[name]


def _python(folder: Path, *arguments: str, site: Path | None = None) -> str:
    """Run Python in a folder, which must end well, and return what it printed."""
    paths = [*filter(None, [site and str(site), os.environ.get("PYTHONPATH")])]
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_each_is_found_by_its_entry_point(
    installed: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["plugins", "list", "--json"]) == 0
    listed = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    for name in installed:
        assert (listed[name]["state"], listed[name]["distribution"]) == ("loaded", name)
        assert [name] in listed[name]["registers"].values()


def test_their_own_tests_pass(made: dict[str, Path], site: Path) -> None:
    said = _python(next(iter(made.values())).parent, "-m", "pytest", *made, site=site)
    assert re.search(r"^=+ \d+ passed", said, re.MULTILINE)
    for name in made:
        assert f"tests/test_{name.replace('-', '_')}.py ." in said


@pytest.mark.parametrize("name", [f"grown-{kind}" for kind in NEW_KINDS])
def test_it_keeps_its_contract(
    installed: tuple[str, ...], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert name in installed
    assert run(["plugins", "check", name]) == 0
    assert "0 not kept" in capsys.readouterr().out


def test_they_are_formatted(made: dict[str, Path]) -> None:
    for folder in made.values():
        select = ("--select", "E,F,I,UP,B,RUF", "--line-length", "100", ".")
        _python(folder, "-m", "ruff", "check", *select)
        _python(folder, "-m", "ruff", "format", "--check", "--line-length", "100", ".")


def test_they_import_nothing_deeper_than_the_public_face(made: dict[str, Path]) -> None:
    files = [path for folder in made.values() for path in folder.rglob("*.py")]
    assert len(files) >= 2 * len(made)
    for path in files:
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
