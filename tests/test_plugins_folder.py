"""The plugins in this repository are what a stranger's would be."""

import ast
import tomllib
from pathlib import Path

import pytest

from qctkit.registry import load_registry

ROOT = Path(__file__).parents[1]
PUBLIC = {"qctkit.plugin", "qctkit.testing"}
PLUGINS = sorted(path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml"))
plugins = pytest.mark.parametrize("folder", PLUGINS, ids=lambda one: one.name)


def _imported(path: Path) -> set[str]:
    """Return the modules of qctkit that a file imports, wherever in it."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules.update(one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "qctkit":
            modules.update(f"qctkit.{one.name}" for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module)
    return {one for one in modules if one.split(".")[0] == "qctkit"}


@plugins
def test_a_plugin_imports_the_public_face_alone(folder: Path) -> None:
    for path in folder.rglob("*.py"):
        assert _imported(path) <= PUBLIC, path


@plugins
def test_a_plugin_is_found_by_its_entry_point_and_loads(folder: Path) -> None:
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (name,) = project["entry-points"]["qctkit"]
    assert name == folder.name
    state = load_registry().plugin(name)
    assert (state.distribution, state.status, state.problem) == (project["name"], "loaded", "")


@plugins
def test_a_plugin_has_tests_and_a_readme(folder: Path) -> None:
    assert list((folder / "tests").glob("test_*.py"))
    assert (folder / "README.md").stat().st_size > 100


@plugins
def test_a_plugin_is_installed_by_make(folder: Path) -> None:
    assert f"plugins/{folder.name}" in (ROOT / "Makefile").read_text(encoding="utf-8")
