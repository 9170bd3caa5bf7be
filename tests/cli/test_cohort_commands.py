"""``qctkit info`` and ``qctkit verify`` as a user sees them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import pytest
import SimpleITK

from qctkit.calibration import Calibration
from qctkit.cohort import Sample
from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter
from qctkit.subject import Sex, Subject
from qctkit.units import Material

Make = Callable[..., Sample]
Run = Callable[..., Any]


@pytest.fixture
def mixed(tmp_path: Path, make: Make, make_made: Make) -> Path:
    """Fifty samples of every kind."""
    line = Calibration(0.8, -3.0, Material.HA, "phantom rods")
    real = make("R", subject=Subject("R", Sex.F, 60.0))
    calibrated = replace(real, sample_id="C", volume=replace(real.volume, calibration=line))
    with CohortWriter(tmp_path / "mixed.h5", {"command": "test"}) as writer:
        writer.add(0, calibrated)
        writer.add(1, make_made("A-1"))
        for position in range(2, 50):
            writer.add(position, replace(real, sample_id=f"S{position}"))
        writer.refuse(50, {"reason": "stalled"})
    return tmp_path / "mixed.h5"


def test_info_begins_with_a_summary(qctkit: Run, mixed: Path) -> None:
    shown = qctkit("info", mixed).out
    lines = dict(line.split(":", 1) for line in shown.split("\n\n")[0].splitlines())
    assert lines["cohort"].strip() == "50 samples, 1 refused candidate, 2 subjects"
    assert lines["made"].strip() == "1 of 50 samples (femur-density)"
    assert lines["sex"].strip() == "F (49), M (1)"
    assert lines["age_years"].strip() == "60.0 to 71.5, median 60.0"
    assert lines["weight_kg"].strip() == "all 50 missing"
    assert "HU (uncalibrated) (49)" in lines["voxels"]
    assert "HU (calibrated: 0.8000 HU - 3.00 mg/cm3 HA, phantom rods) (1)" in lines["voxels"]
    assert lines["size"].strip() == "40x32x32"


def test_info_lists_some_samples_and_all_when_asked(qctkit: Run, mixed: Path) -> None:
    shown = qctkit("info", mixed).out
    assert shown.splitlines()[-1] == "... and 10 more; --all lists every sample"
    assert "S49" not in shown
    assert "S49" in qctkit("info", mixed, "--all").out


def test_info_prints_no_path(qctkit: Run, mixed: Path) -> None:
    for arguments in ((), ("--all",), ("--json",)):
        out = qctkit("info", mixed, *arguments).out
        assert str(mixed.parent) not in out
        assert "mixed.h5" not in out


def test_info_as_json_says_what_is_missing(qctkit: Run, mixed: Path) -> None:
    found = json.loads(qctkit("info", mixed, "--json").out)
    assert found["counts"] == {"samples": 50, "real": 49, "made": 1, "subjects": 2, "refused": 1}
    assert found["weight_kg"] == {"missing": 50}
    assert found["samples"][1]["weight_kg"] is None
    assert found["samples"][1]["origins"]["weight_kg"] == "missing"
    assert found["samples"][1]["recipe"] == "femur-density"
    assert [row["calibrated"] for row in found["samples"][:3]] == [True, False, False]


def test_info_of_an_empty_cohort(qctkit: Run, tmp_path: Path) -> None:
    with CohortWriter(tmp_path / "c.h5", {}):
        pass
    ended = qctkit("info", tmp_path / "c.h5")
    assert (ended.code, ended.err) == (0, "")
    assert "0 samples" in ended.out


def test_verify_prints_one_line_a_check(qctkit: Run, real: Path) -> None:
    ended = qctkit("verify", real)
    assert ended.code == 0
    assert len(ended.out.splitlines()) == 9
    assert all(": " in line and "good (" in line for line in ended.out.splitlines())


def test_verify_compares_made_samples_with_their_sources(
    qctkit: Run, real: Path, made: Path
) -> None:
    ended = qctkit("verify", made, "--against", real, "--json")
    found = json.loads(ended.out)
    assert (ended.code, found["good"]) == (0, True)
    count = json.loads(qctkit("info", made, "--json").out)["counts"]["made"]
    sources = next(one for one in found["checks"] if one["name"] == "sources")
    assert sources["words"] == f"{count} of {count} made samples compared with their source"


def test_verify_of_two_splits_that_share_a_subject_ends_with_1(
    qctkit: Run, real: Path, made: Path
) -> None:
    ended = qctkit("verify", made, "--disjoint-from", real)
    assert ended.code == 1
    assert "is also in the other file" in ended.out
    assert str(real.parent) not in ended.out


def test_verify_tells_every_problem_and_ends_with_1(qctkit: Run, mixed: Path) -> None:
    with h5py.File(mixed, "r+") as file:
        file["samples/C/volume"][0, 0, 0] += 1
        file["samples/S2"].attrs["patient"] = "x"
    ended = qctkit("verify", mixed)
    assert ended.code == 1
    assert "checksums:    2 problems (50 samples)" in ended.out
    assert "  /samples/S2: @patient is not of this format" in ended.out


def test_what_is_no_cohort_cannot_be_verified(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "x.h5").write_text("x")
    assert "not a readable HDF5 file" in refused("verify", tmp_path / "x.h5")


@pytest.mark.parametrize("target", ["nifti", "nrrd"])
def test_convert_leads_out_and_back_to_the_same_bytes(
    qctkit: Run, made: Path, tmp_path: Path, target: str
) -> None:
    assert qctkit("convert", made, "-o", tmp_path / "out", "--to", target).code == 0
    ended = qctkit("convert", tmp_path / "out", "-o", tmp_path / "back.h5", "--to", "cohort")
    assert ended.code == 0
    assert str(tmp_path) not in ended.out
    assert (tmp_path / "back.h5").read_bytes() == made.read_bytes()


def test_convert_back_says_which_images_were_edited(
    qctkit: Run, mixed: Path, tmp_path: Path
) -> None:
    qctkit("convert", mixed, "-o", tmp_path / "out", "--to", "nrrd")
    (tmp_path / "out" / "S3_mask.nrrd").write_bytes(
        (tmp_path / "out" / "A-1_mask.nrrd").read_bytes()
    )
    image = SimpleITK.ReadImage(str(tmp_path / "out" / "S3_mask.nrrd"))
    image[0, 0, 0] = 1
    SimpleITK.WriteImage(image, str(tmp_path / "out" / "S3_mask.nrrd"))
    ended = qctkit("convert", tmp_path / "out", "-o", tmp_path / "back.h5", "--to", "cohort")
    assert ended.code == 0
    assert "S3: edited after the export: mask; taken" in ended.err
    assert qctkit("verify", tmp_path / "back.h5").code == 0


def test_convert_back_refuses_an_incomplete_folder(
    qctkit: Run, refused: Callable[..., str], mixed: Path, tmp_path: Path
) -> None:
    qctkit("convert", mixed, "-o", tmp_path / "out")
    (tmp_path / "out" / "S3.json").unlink()
    words = refused("convert", tmp_path / "out", "-o", tmp_path / "back.h5", "--to", "cohort")
    assert "S3.json is missing" in words


@pytest.mark.parametrize("source", ["real.h5", "out"])
def test_a_cohort_or_its_export_is_ingested_with_the_same_fingerprint(
    qctkit: Run, real: Path, tmp_path: Path, source: str
) -> None:
    path = real
    if source == "out":
        path = tmp_path / "out"
        qctkit("convert", real, "-o", path, "--to", "nrrd")
    assert qctkit("ingest", path, "-o", tmp_path / "again.h5").code == 0
    assert CohortFile(tmp_path / "again.h5").fingerprint == CohortFile(real).fingerprint
