"""docs/plugins.md, followed word for word from an empty folder.

Commands run in the environment of the tests. ``pip install -e FOLDER`` is an install without
dependencies into a temporary folder on PYTHONPATH, with FOLDER itself before it, so that what is
edited later counts, as it does with -e.
"""

import os
import re
import stat
import sys
from pathlib import Path
from runpy import run_path

import pytest

from qctkit.store.reader import CohortFile
from qctkit.subject import Origin

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "plugins.md").read_text(encoding="utf-8")
FOLLOW = run_path(str(DOCS / "follow.py"))

PIP = """\
#!/bin/sh
# pip install -q -e A -e B
shift
for folder in "$@"; do
  case "$folder" in -*) continue ;; esac
  {python} -m pip install -q --no-deps --no-build-isolation --no-index --target {site} ./$folder
done
"""


@pytest.fixture(scope="module")
def transcript(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each command said."""
    folder, site, commands = (tmp_path_factory.mktemp(one) for one in ("empty", "site", "bin"))
    _command(commands / "pip", PIP.format(python=sys.executable, site=site))
    _command(commands / "qctkit", f'#!/bin/sh\nexec {sys.executable} -m qctkit "$@"\n')
    _command(commands / "python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    installed = [folder / one for one in re.findall(r"-e (\S+)", PAGE)]
    before = [one for one in [os.environ.get("PYTHONPATH")] if one]
    environment = {
        **os.environ,
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([*map(str, installed), str(site), *before]),
    }
    said = {}
    for part in FOLLOW["follow"](PAGE, folder, environment):
        command, _, output = part.partition("\n")
        said[command.removeprefix("$ ")] = output
    said["folder"] = str(folder)
    return said


def _command(path: Path, script: str) -> None:
    path.write_text(script)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_the_tutorial_ends_with_samples_that_the_new_judges_passed(
    transcript: dict[str, str],
) -> None:
    (made,) = [said for command, said in transcript.items() if command.startswith("qctkit augment")]
    assert "2 of 2 samples accepted" in made
    assert (Path(transcript["folder"]) / "augmented.h5").is_file()


def test_the_new_plugins_keep_their_contracts(transcript: dict[str, str]) -> None:
    checks = {one: said for one, said in transcript.items() if "plugins check" in one}
    assert len(checks) == 3
    assert " passed" in transcript["python -m pytest -q height-predictor"]
    for said in checks.values():
        assert "0 not kept" in said
        assert "BROKEN" not in said


def test_the_new_predictors_have_figures_of_held_out_subjects(transcript: dict[str, str]) -> None:
    (said,) = [said for command, said in transcript.items() if command.startswith("qctkit train")]
    assert re.search(r"height-predictor +loop +height_cm +error", said)
    assert re.search(r"height-judge +reader +age_years +error", said)
    page = (Path(transcript["folder"]) / "predictors" / "report.html").read_text(encoding="utf-8")
    assert "<h2>Height</h2>" in page
    assert re.search(r"Height: height-\w+ errs by [\d.]+ \([\d.]+ to [\d.]+\) cm", page)


def test_samples_are_labelled_with_the_height_and_the_age_asked_for(
    transcript: dict[str, str],
) -> None:
    made = CohortFile(Path(transcript["folder"]) / "augmented.h5")
    for sample_id in made.sample_ids:
        label = made.subject(sample_id)
        assert (label.value("height_cm"), label.age_years) == (170.0, 65.0)
        assert label.origin("height_cm") is Origin.TARGET
    assert (
        "height-judge read height_cm"
        in transcript["qctkit validate augmented.h5 --against real.h5"]
    )
    assert re.search(
        "height_cm: +170.0 to 170.0, median 170.0 cm", transcript["qctkit info augmented.h5"]
    )


def test_the_exported_twin_reads_height_without_the_plugin(transcript: dict[str, str]) -> None:
    said = transcript["qctkit predict real.h5 --predictors onnx/height-predictor.onnx"]
    assert re.search(r"sample +sex .* height, cm\n", said)


def test_the_plugin_in_the_repository_is_what_the_page_makes() -> None:
    blocks = {one.file: one.text for one in FOLLOW["blocks"](PAGE)}
    made = [one for one in blocks if one.startswith("height-predictor/")]
    assert len(made) == 3
    for one in made:
        assert (DOCS.parent / "plugins" / one).read_text(encoding="utf-8") == blocks[one]


def test_every_block_is_run_or_written_or_says_why_not() -> None:
    blocks = list(FOLLOW["blocks"](PAGE))
    written = "\n".join(block.text for block in blocks if block.file)
    for block in blocks:
        if block.language == "sh":
            assert block.is_run or block.note.startswith("not-run: ")
        else:
            assert block.file or block.text in written
