"""The house: what the README and the help promise is there."""

import re
from pathlib import Path

import pytest

import qctkit
from qctkit import hookspecs
from qctkit.cli.main import COMMANDS, run
from qctkit.readers.table import COLUMNS

ROOT = Path(__file__).parents[1]


def test_public_names_are_sorted_and_importable() -> None:
    assert list(qctkit.__all__) == sorted(
        qctkit.__all__, key=lambda name: (name == "__version__", name)
    )
    assert all(hasattr(qctkit, name) for name in qctkit.__all__)


def test_every_file_that_the_pages_link_to_is_there() -> None:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if not link.startswith("https://"):
                assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_every_column_of_the_table_of_subjects_is_explained() -> None:
    page = (ROOT / "docs" / "inputs.md").read_text(encoding="utf-8")
    explained = {
        name
        for line in page.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert set(COLUMNS) <= explained


def test_every_command_in_the_readme_exists() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    used = set(re.findall(r"qctkit (\w+) ", text)) - {"makes"}
    assert used <= set(COMMANDS)


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_teaches_by_an_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [command, "list", "--help"] if command == "plugins" else [command, "--help"]
    assert run(arguments) == 0
    assert "Example" in capsys.readouterr().out


def test_the_changelog_has_an_unreleased_part() -> None:
    assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_hook_says_what_it_returns() -> None:
    hooks = [name for name in vars(hookspecs) if name.startswith("register_")]
    assert len(hooks) >= 7
    assert all("Return" in (getattr(hookspecs, name).__doc__ or "") for name in hooks)


def test_the_constraints_pin_the_tested_torch() -> None:
    assert "torch==2.13.0" in (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
