"""What another recipe made of the same cohort stands beside: files to page, JSON and CSV."""

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qctkit.cli.main import run
from qctkit.pipeline.augment import AugmentOptions, augment
from qctkit.progress import Silent
from qctkit.registry import load_registry
from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter
from tests.browser import look
from tests.small_run import SmallRun, small_predictors

WANTED = 3


@pytest.fixture(scope="module")
def baseline(small_run: SmallRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source study's algorithm on the same people, for a few steps."""
    folder = tmp_path_factory.mktemp("baseline")
    _, real = small_run.cohorts
    registry = load_registry()
    recipe = replace(registry.recipe("voxel-baseline"), predictors=("bone-density",), steps=12)
    predictors = small_predictors(real, folder)
    options = AugmentOptions(WANTED, seed=1)
    path = folder / "baseline.h5"
    augment(real, recipe, predictors, registry, options, path, Silent())
    return path


@pytest.fixture(scope="module")
def report(small_run: SmallRun, baseline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("beside") / "report.html"
    beside = ["--analyse", "--beside", f"{baseline}"]
    assert run(["report", *_against(small_run), *beside, "-o", f"{path}"]) == 0
    return path


def test_its_figures_are_a_column_of_the_page(report: Path, chromium: Any) -> None:
    seen = look(chromium, report)
    seen.page.wait_for_selector("html[data-ready]")
    table = seen.page.locator("#realism ~ .wide table").first
    heads = table.locator("thead th").all_text_contents()
    assert heads == [
        "figure", "generated", "real against real", "affine and noise", "voxel-baseline",
        "if alike",
    ]  # fmt: skip
    record = _analysis(report)
    cells = {
        row.locator("th").text_content(): row.locator("td").all_text_contents()
        for row in table.locator("tbody tr").all()
    }
    distance = _figure(record, "distance_to_source")
    own, _, _, other, _ = cells[distance["title"]]
    assert own.startswith(f"{distance['made']['value']:.2f}"[:3])
    assert other.startswith(f"{distance['beside']['voxel-baseline']['value']:.2f}"[:3])
    text = seen.page.text_content("main")
    assert f"voxel-baseline: {WANTED} of" in text
    assert "one free value per voxel" in text
    assert seen.troubles == []
    seen.page.close()


def test_json_and_csv_hold_it_too(report: Path, baseline: Path) -> None:
    record = _analysis(report)
    (one,) = record["beside"]
    assert one["fingerprint"] == CohortFile(baseline).fingerprint
    assert (one["name"], one["samples"], one["seed"]) == ("voxel-baseline", WANTED, 1)
    found = _figure(record, "distance_to_source")["beside"]["voxel-baseline"]
    assert found["value"] > 0.0
    rows = list(csv.DictReader(io.StringIO(report.with_suffix(".figures.csv").read_text())))
    wanted = ("distance_to_source", "voxel-baseline")
    (row,) = [one for one in rows if (one["figure"], one["of"]) == wanted]
    assert float(row["value"]) == pytest.approx(found["value"], rel=1e-5)
    assert report.with_suffix(".figures.csv").name in report.read_text(encoding="utf-8")


def test_a_report_without_such_figures_takes_an_earlier_table_away(
    small_run: SmallRun, tmp_path: Path
) -> None:
    table = tmp_path / "report.figures.csv"
    table.write_text("of an earlier report")
    arguments = [*_against(small_run), "-o", f"{tmp_path / 'report.html'}"]
    assert run(["report", *arguments]) == 2
    assert table.exists()
    assert run(["report", *arguments, "--overwrite"]) == 0
    assert not table.exists()


@pytest.mark.parametrize("command", ["report", "validate"])
def test_what_cannot_stand_beside_is_refused(
    command: str,
    small_run: SmallRun,
    baseline: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other, copy = tmp_path / "other.h5", tmp_path / "copy.h5"
    shutil.copy(baseline, copy)
    made = CohortFile(small_run.made)
    with CohortWriter(other, {**made.run, "cohort_fingerprint": "another"}) as writer:
        writer.add(0, made.load(made.sample_ids[0]))
    switch = {"report": "--analyse", "validate": "--figures"}[command]
    for words, beside in {
        f"--beside {small_run.real} holds no made samples": (small_run.real,),
        f"--beside {other} was not made from": (other,),
        "holds the very samples of": (baseline, copy),
        f"holds the very samples of {small_run.made}": (small_run.made,),
    }.items():
        given = [part for one in beside for part in ("--beside", f"{one}")]
        assert (
            run([command, *_against(small_run), switch, *given, *_output(command, tmp_path)]) == 2
        )
        error = capsys.readouterr().err
        assert error.count("Error:") == 1
        assert words in error
    given = ["--beside", f"{baseline}", *_output(command, tmp_path)]
    assert run([command, *_against(small_run), *given]) == 2
    assert f"{switch} computes" in capsys.readouterr().err
    assert {one.name for one in tmp_path.iterdir()} == {"other.h5", "copy.h5"}


def test_validate_says_it_and_prints_it(
    small_run: SmallRun, baseline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*_against(small_run), "--figures", "--beside", f"{baseline}"]
    assert run(["validate", *arguments]) in (0, 1)
    lines = capsys.readouterr().out.splitlines()
    line = next(one for one in lines if one.startswith("distance to the source"))
    assert "affine and noise" in line
    assert "voxel-baseline" in line


def _against(small: SmallRun) -> list[str]:
    return [f"{small.made}", "--against", f"{small.real}"]


def _output(command: str, folder: Path) -> list[str]:
    return ["-o", f"{folder / 'report.html'}"] if command == "report" else []


def _analysis(report: Path) -> dict[str, Any]:
    return dict(json.loads(report.with_suffix(".json").read_text(encoding="utf-8"))["analysis"])


def _figure(record: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in record["realism"]["figures"] if one["name"] == name)
