"""What cannot be reported is one clear error, and nothing is written."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from qctkit.cli.main import run
from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter
from tests.small_run import SmallRun


def refused(
    capsys: pytest.CaptureFixture[str], folder: Path, arguments: Sequence[str | Path]
) -> str:
    before = {one: one.read_bytes() for one in folder.iterdir()}
    output = ["-o", f"{folder / 'report.html'}"]
    assert run(["report", *map(str, arguments), *output]) == 2
    assert {one: one.read_bytes() for one in folder.iterdir()} == before
    error = capsys.readouterr().err
    assert error.count("Error:") == 1
    return error


def test_what_is_no_run_of_this_cohort_is_refused(
    small_run: SmallRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, real = small_run.made, small_run.real
    text = tmp_path / "notes.txt"
    text.write_text("mine")
    with CohortWriter(tmp_path / "none.h5", CohortFile(made).run):
        pass
    for words, arguments in {
        "holds no made samples": (real, "--against", real),
        "was not made from": (made, "--against", made),
        "not a readable HDF5 file": (text, "--against", real),
        "candidates were refused": (tmp_path / "none.h5", "--against", real),
        "is not the JSON of a report": (made, "--against", real, "--figures", text),
        "is not a file of answers": (made, "--against", real, "--readings", text),
        "exclude one another": (made, "--against", real, "--figures", text, "--analyse"),
    }.items():
        assert words in refused(capsys, tmp_path, arguments)


def test_an_existing_file_of_any_of_the_three_is_kept(
    small_run: SmallRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "report.csv").write_text("mine")
    arguments = (small_run.made, "--against", small_run.real)
    assert "--overwrite" in refused(capsys, tmp_path, arguments)


def test_figures_of_other_scans_are_refused(
    small_run: SmallRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = tmp_path / "earlier.json"
    for words, found in {
        "of other scans": {"cohorts": {"made": "a", "real": "b"}, "analysis": {}},
        "holds no figures": {"cohorts": {"made": "a", "real": "b"}, "analysis": None},
    }.items():
        earlier.write_text(json.dumps(found))
        arguments = (small_run.made, "--against", small_run.real, "--figures", earlier)
        assert words in refused(capsys, tmp_path, arguments)
