"""ONNX predictors through the command line: exported ones, and one from elsewhere."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter
from tests.predictors.third_party import TOML, hand_over, mean_density_model

# Their view is not ours: predictors of one set may look at different grids.
THEIRS = TOML.replace("6.0", "5.0")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hand_over(tmp_path_factory.mktemp("theirs"), mean_density_model(batch=1), THEIRS).parent


@pytest.fixture
def ours(predictors: Path, tmp_path: Path) -> Path:
    """Return a copy of the trained predictors, which a test may change."""
    return Path(shutil.copytree(predictors, tmp_path / "predictors"))


def test_export_writes_the_figures_of_every_twin_beside_them(onnx: Path, predictors: Path) -> None:
    written = json.loads((onnx / "predictors.json").read_text())
    trained = json.loads((predictors / "predictors.json").read_text())["predictors"]
    assert {one["name"] for one in written["predictors"]} == {one["name"] for one in trained}
    for name, check in written["checks"].items():
        assert (onnx / f"{name}.onnx").is_file()
        assert {one["batch"] for one in check["parities"]} == {1, 3, 8}
        # Landmarks lie on sections of the grid, and blocks are counted: they take only their own.
        sizes = 1 if name in ("physical-features", "voxel-ridge") else 2
        assert len({tuple(one["size"]) for one in check["parities"]}) == sizes
        assert all(one["relative_difference"] <= 1e-4 for one in check["parities"])
    shared = ("name", "role", "family", "view", "skills")
    for twin, one in zip(written["predictors"], trained, strict=True):
        assert {key: twin[key] for key in shared} == {key: one[key] for key in shared}
        assert [estimate["attribute"] for estimate in twin["estimates"]] == one["attributes"]


def test_one_exported_file_is_enough_to_predict(
    qctkit: Callable[..., Any], real: Path, onnx: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "alone.onnx"
    shutil.copy(onnx / "bone-density.onnx", alone)
    ended = qctkit("predict", real, "--predictors", alone, "--device", "cpu", "--threads", 1)
    assert ended.code == 0
    assert "bone-density" in ended.err
    assert "threads: 1" in ended.err
    head, *rows = ended.out.splitlines()
    assert head.split("  ")[0] == "sample"
    assert "age, years" in head
    assert len(rows) == 8
    assert all("±" in row for row in rows)


def test_every_subject_is_read_with_a_spread_of_its_own(
    qctkit: Callable[..., Any], real: Path, onnx: Path
) -> None:
    rows = json.loads(qctkit("predict", real, "--predictors", onnx, "--json").out)
    for name in ("age_years_spread", "weight_kg_spread"):
        spreads = [row[name] for row in rows]
        assert min(spreads) > 0.0
        assert len(set(spreads)) == len(spreads)


def test_predicting_needs_no_torch(real: Path, theirs: Path) -> None:
    script = (
        "import sys; from qctkit.cli.main import run; "
        f"code = run(['predict', {str(real)!r}, '--predictors', {str(theirs)!r}, '--json']); "
        "sys.exit(code or 'torch' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    rows = json.loads(ran.stdout)
    assert [row["sample_id"] for row in rows] == list(CohortFile(real).sample_ids)
    assert all(0.0 < row["probability_male"] < 1.0 for row in rows)
    assert all(row["weight_kg"] is None for row in rows)


def test_a_predictor_that_nobody_measured_gives_no_interval(
    qctkit: Callable[..., Any], real: Path, theirs: Path
) -> None:
    ended = qctkit("predict", real, "--predictors", theirs)
    assert ended.code == 0
    assert "±" not in ended.out
    assert "not measured" in ended.err


def test_trained_predictors_without_twins_say_how_to_export(
    refused: Callable[..., str], real: Path, predictors: Path
) -> None:
    assert "qctkit export" in refused("predict", real, "--predictors", predictors)


def test_a_damaged_or_missing_twin_is_named(
    refused: Callable[..., str], real: Path, onnx: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(onnx, tmp_path / "onnx"))
    (folder / "sex-network.onnx").write_bytes((onnx / "sex-network.onnx").read_bytes()[:2000])
    assert "sex-network.onnx" in refused("predict", real, "--predictors", folder)
    (folder / "sex-network.onnx").unlink()
    assert "sex-network.onnx is missing" in refused("predict", real, "--predictors", folder)
    (folder / "predictors.json").write_text("{")
    assert "predictors.json is damaged" in refused("predict", real, "--predictors", folder)


def test_an_adopted_predictor_is_a_reader_measured_on_the_cohort(
    qctkit: Callable[..., Any], real: Path, theirs: Path, ours: Path
) -> None:
    ended = qctkit("adopt", theirs, real, "--predictors", ours)
    assert ended.code == 0, ended.err
    assert "may have been trained on some" in ended.out
    content = json.loads((ours / "predictors.json").read_text())
    entry = content["predictors"][-1]
    assert (entry["name"], entry["role"]) == ("their-model", "reader")
    assert entry["skills"]["age_years"]["subjects"] == 8
    assert entry["skills"]["age_years"]["response"]["residual_sd"] > 0.0
    adopted = content["training"]["adopted"]["their-model"]
    assert adopted["measured_on"] == CohortFile(real).fingerprint


def test_an_adopted_reader_reads_every_candidate_on_its_own_view_and_never_drives(
    qctkit: Callable[..., Any], real: Path, theirs: Path, ours: Path, tmp_path: Path
) -> None:
    qctkit("adopt", theirs, real, "--predictors", ours, "--name", "judge")
    made = tmp_path / "made.h5"
    ended = qctkit(
        "augment", real, "--plugin", "femur-density", "--predictors", ours, "-n", 2,
        "--max-candidates", 2, "--seed", 1, "-o", made,
    )  # fmt: skip
    assert ended.code in (0, 1)
    cohort = CohortFile(made)
    records = [one.synthesis.record for one in cohort if one.synthesis] + list(cohort.refused)
    assert len(records) == 2
    read = json.loads(qctkit("predict", real, "--predictors", theirs, "--json").out)
    of_sample = {row["sample_id"]: row["age_years"] for row in read}
    for record in records:
        (reading,) = [
            one
            for one in record["readings"]
            if (one["predictor"], one["attribute"]) == ("judge", "age_years")
        ]
        assert reading["role"] == "reader"
        assert reading["before"] == pytest.approx(of_sample[record["source_sample_id"]], rel=1e-4)
        assert reading["after"] != reading["before"]
    if len(cohort):
        assert qctkit("validate", made, "--against", real).code == 0


def test_an_adopted_reader_is_exported_with_the_others(
    qctkit: Callable[..., Any], real: Path, theirs: Path, ours: Path, tmp_path: Path
) -> None:
    for name in ("sex-network", "age-weight-network", "reader-network"):
        (ours / f"{name}.safetensors").unlink()
    content = json.loads((ours / "predictors.json").read_text())
    content["predictors"] = [one for one in content["predictors"] if one["name"] == "bone-density"]
    (ours / "predictors.json").write_text(json.dumps(content))
    qctkit("adopt", theirs, real, "--predictors", ours)
    assert qctkit("export", ours, "-o", tmp_path / "onnx").code == 0
    ended = qctkit("predict", real, "--predictors", tmp_path / "onnx" / "their-model.onnx")
    assert ended.code == 0
    assert "their-model" in ended.err
    assert "±" in ended.out


def test_a_name_that_is_taken_is_refused_and_an_adopted_one_can_be_replaced(
    qctkit: Callable[..., Any],
    refused: Callable[..., str],
    real: Path,
    theirs: Path,
    ours: Path,
) -> None:
    arguments = ("adopt", theirs, real, "--predictors", ours)
    for name in ("bone-density", "reader-network"):
        assert "--name" in refused(*arguments, "--name", name, "--overwrite")
    assert qctkit(*arguments).code == 0
    assert "--overwrite" in refused(*arguments)
    assert qctkit(*arguments, "--overwrite").code == 0
    content = json.loads((ours / "predictors.json").read_text())
    assert [one["name"] for one in content["predictors"]].count("their-model") == 1


def test_a_predictor_of_this_very_cohort_is_not_adopted_as_a_judge_of_it(
    refused: Callable[..., str], real: Path, onnx: Path, ours: Path
) -> None:
    message = refused(
        "adopt", onnx / "reader-network.onnx", real, "--predictors", ours, "--name", "again"
    )
    assert "trained on this very cohort" in message


@pytest.mark.parametrize("name", ["../outside", "a/b", "", " "])
def test_a_reader_cannot_be_named_out_of_its_folder(
    refused: Callable[..., str], real: Path, theirs: Path, ours: Path, name: str
) -> None:
    message = refused("adopt", theirs, real, "--predictors", ours, "--name", name)
    assert "--name" in message


def test_a_cohort_of_no_samples_has_no_estimates(
    qctkit: Callable[..., Any], real: Path, theirs: Path, tmp_path: Path
) -> None:
    with CohortWriter(tmp_path / "none.h5", {}, window=CohortFile(real).window):
        pass
    ended = qctkit("predict", tmp_path / "none.h5", "--predictors", theirs, "--json")
    assert (ended.code, json.loads(ended.out)) == (0, [])


def test_a_folder_of_several_predictors_is_not_adopted_at_once(
    refused: Callable[..., str], real: Path, onnx: Path, ours: Path
) -> None:
    assert "give one of" in refused("adopt", onnx, real, "--predictors", ours)


def test_months_that_are_called_years_are_refused(
    refused: Callable[..., str], real: Path, ours: Path, tmp_path: Path
) -> None:
    wrong = hand_over(tmp_path / "wrong", toml=THEIRS.replace('"months"', '"years"')).parent
    message = refused("adopt", wrong, real, "--predictors", ours)
    assert "age_years" in message
    assert "unit" in message


def test_a_wrong_description_stops_every_command(
    refused: Callable[..., str], real: Path, ours: Path, tmp_path: Path
) -> None:
    wrong = hand_over(tmp_path / "wrong", toml=THEIRS.replace('"months"', '"moons"'))
    for arguments in (
        ("predict", real, "--predictors", wrong),
        ("adopt", wrong, real, "--predictors", ours),
    ):
        message = refused(*arguments)
        assert "predictor.toml" in message
        assert "'moons'" in message


def test_a_gpu_that_is_not_there_is_refused(
    refused: Callable[..., str], real: Path, theirs: Path
) -> None:
    if any(Path("/proc/driver/nvidia/gpus").glob("*")):
        pytest.skip("this machine has a GPU")
    assert "--device cpu" in refused("predict", real, "--predictors", theirs, "--device", "cuda")
