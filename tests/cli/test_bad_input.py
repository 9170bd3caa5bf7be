"""Bad input: one message that names what is wrong, code 2, and nothing left behind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest


def test_a_path_that_does_not_exist(refused: Callable[..., str], tmp_path: Path) -> None:
    assert "nowhere" in refused("ingest", tmp_path / "nowhere", "-o", tmp_path / "in.h5")


def test_an_empty_folder(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "scan").mkdir()
    assert "empty" in refused("ingest", tmp_path / "scan", "-o", tmp_path / "in.h5")


def test_nothing_to_ingest(refused: Callable[..., str], tmp_path: Path) -> None:
    assert "--table" in refused("ingest", "-o", tmp_path / "in.h5")


def test_a_truncated_nifti(refused: Callable[..., str], nifti: Path, tmp_path: Path) -> None:
    scan = tmp_path / "cut.nii.gz"
    scan.write_bytes((nifti / "sim-0000.nii.gz").read_bytes()[:5000])
    message = refused("ingest", scan, "-o", tmp_path / "in.h5")
    assert "cut.nii.gz" in message
    assert "truncated" in message


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (-1000.0, "femur")])
def test_a_nan_voxel_and_a_volume_without_a_femur(
    refused: Callable[..., str], tmp_path: Path, value: float, word: str
) -> None:
    voxels = np.full((30, 30, 30), -1000.0, dtype=np.float32)
    voxels[3, 4, 5] = value
    image = nibabel.Nifti1Image(voxels, np.diag([3.0, 3.0, 3.0, 1.0]))
    nibabel.save(image, tmp_path / "scan.nii.gz")
    message = refused("ingest", tmp_path / "scan.nii.gz", "-o", tmp_path / "in.h5")
    assert "scan.nii.gz" in message
    assert word.lower() in message.lower()


def test_an_unknown_plugin_suggests_the_nearest(
    refused: Callable[..., str], real: Path, tmp_path: Path
) -> None:
    message = refused("augment", real, "--plugin", "femur-densty", "-o", tmp_path / "made.h5")
    assert "'femur-densty'" in message
    assert "'femur-density'" in message


def test_an_unknown_exporter_names_those_known(
    refused: Callable[..., str], real: Path, tmp_path: Path
) -> None:
    assert "nifti" in refused("convert", real, "-o", tmp_path / "out", "--to", "nift")


@pytest.mark.parametrize("command", ["simulate", "ingest", "augment", "train", "export", "convert"])
def test_an_output_that_exists_is_left_alone(
    refused: Callable[..., str],
    nifti: Path,
    real: Path,
    predictors: Path,
    augment: tuple[str, ...],
    tmp_path: Path,
    command: str,
) -> None:
    arguments = {
        "simulate": ("simulate", "--subjects", 1),
        "ingest": ("ingest", nifti / "sim-0000.nii.gz"),
        "augment": augment,
        "train": ("train", real),
        "export": ("export", predictors),
        "convert": ("convert", real),
    }[command]
    mine = tmp_path / "there"
    if command in {"train", "export", "convert"}:  # these write folders
        mine.mkdir()
        mine = mine / "samples.csv"
    mine.write_text("mine")
    message = refused(*arguments, "-o", tmp_path / "there")
    assert "there" in message
    assert "--overwrite" in message
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("content", [None, b"", b"not HDF5"])
@pytest.mark.parametrize("command", ["info", "train", "convert", "augment"])
def test_a_missing_or_corrupt_cohort(
    refused: Callable[..., str], tmp_path: Path, command: str, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "c.h5").write_bytes(content)
    more = ("--plugin", "femur-density") if command == "augment" else ()
    output = () if command == "info" else ("-o", tmp_path / "out")
    assert "c.h5" in refused(command, tmp_path / "c.h5", *more, *output)


def test_missing_predictors(refused: Callable[..., str], real: Path, tmp_path: Path) -> None:
    folder = tmp_path / "nowhere"
    output = ("-o", tmp_path / "out.h5")
    recipe = ("--plugin", "femur-density")
    assert "nowhere" in refused("augment", real, *recipe, "--predictors", folder, *output)
    assert "nowhere" in refused("export", folder, *output)
    assert "nowhere" in refused("predict", real, "--predictors", folder)


def test_predictors_that_were_not_exported(
    refused: Callable[..., str], real: Path, predictors: Path
) -> None:
    assert "qctkit export" in refused("predict", real, "--predictors", predictors)


def test_a_cohort_too_small_to_train(
    qctkit: Callable[..., Any], refused: Callable[..., str], tmp_path: Path
) -> None:
    few = tmp_path / "few.h5"
    qctkit("simulate", "-o", few, "--subjects", 2, "--spacing-mm", 6, 6, 6)
    assert "subjects" in refused("train", few, "--workers", 1, "-o", tmp_path / "predictors")


def test_an_output_below_a_file(refused: Callable[..., str], real: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert "file" in refused("simulate", "--subjects", 1, "-o", tmp_path / "file" / "c.h5")
    assert "file" in refused("convert", real, "-o", tmp_path / "file" / "out")


def test_a_made_cohort_is_neither_trained_on_nor_augmented(
    refused: Callable[..., str], augment: tuple[str, ...], made: Path, tmp_path: Path
) -> None:
    assert "qctkit augment" in refused("train", made, "-o", tmp_path / "out")
    assert "qctkit augment" in refused("augment", made, *augment[2:], "-o", tmp_path / "out.h5")


def test_validating_against_another_cohort(
    qctkit: Callable[..., Any], refused: Callable[..., str], made: Path, real: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.h5"
    qctkit("simulate", "-o", other, "--subjects", 1, "--spacing-mm", 6, 6, 6)
    assert "--against" in refused("validate", made, "--against", other)
    assert "no made samples" in refused("validate", real, "--against", real)
    assert "--reference" in refused("validate", made, "--against", real, "--reference", other)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("source_subject_id,age\nsim-0000,80\n", ("age", "age_years")),
        ("source_subject_id,age_years\nsim-0000,80\n", ("line 2", "no attribute", "R2")),
        ("source_subject_id,age_years\nsim-9999,80\n", ("line 2", "sim-9999")),
        ("source_subject_id,age_years\nsim-0000,old\n", ("line 2", "age_years", "old")),
        ("source_subject_id,sex\nsim-0000,X\n", ("line 2", "sex", "X")),
        ("source_subject_id,weight_kg\nsim-0000,0.5\n", ("line 2", "weight_kg", "0.5")),
        ("source_subject_id,weight_kg\n", ("no rows",)),
        ("source_subject_id,weight_kg\nsim-0000,\udcff\n", ("UTF-8",)),
    ],
)
def test_a_wrong_table_of_targets(
    refused: Callable[..., str],
    augment: tuple[str, ...],
    tmp_path: Path,
    table: str,
    words: tuple[str, ...],
) -> None:
    path = tmp_path / "targets.csv"
    path.write_bytes(table.encode("utf-8", "surrogateescape"))
    message = refused(*augment, "--targets", path, "-o", tmp_path / "made.h5")
    assert all(word in message for word in ("targets.csv", *words))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--target", "age=75"), ("--target age=75", "age_years")),
        (("--target", "age_years=121"), ("--target age_years=121", "at most 120 years")),
        (("--target", "sex=M"), ("sex=M", "density-field cannot change it", "leave sex out")),
        (("--target", "sex=M", "--target-where", "age_years=60:"), ("exclude one another",)),
        (("--target-where", "age_years=60:80"), ("no attribute is carried",)),
        (("--target-where", "age_years=80:60"), ("--target-where age_years=80:60", "empty")),
    ],
)
def test_a_wrong_target(
    refused: Callable[..., str],
    augment: tuple[str, ...],
    tmp_path: Path,
    options: tuple[str, ...],
    words: tuple[str, ...],
) -> None:
    message = refused(*augment, *options, "-o", tmp_path / "made.h5")
    assert all(word in message for word in words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "--all"),
        (("sim-0000-a00000", "--all"), "--all"),
        (("nobody",), "nobody"),
        (("--all", "--spacing-mm", "1", "1", "1"), "-o"),
        (("--all", "--spacing-mm", "1", "0", "1", "-o", "{folder}/x.h5"), "above 0 mm"),
    ],
)
def test_a_replay_of_what_cannot_be(
    refused: Callable[..., str],
    made: Path,
    real: Path,
    tmp_path: Path,
    options: tuple[str, ...],
    words: str,
) -> None:
    given = [one.format(folder=tmp_path) for one in options]
    assert words in refused("replay", made, *given, "--source", real)


def test_a_replay_onto_its_own_source(refused: Callable[..., str], made: Path, real: Path) -> None:
    asked = ("replay", made, "--all", "--source", real, "--overwrite")
    assert "would be lost" in refused(*asked, "-o", real)
    assert "would be lost" in refused(*asked, "-o", made)


def test_a_replay_from_another_cohort(refused: Callable[..., str], made: Path) -> None:
    assert "--source" in refused("replay", made, "--all", "--source", made)


@pytest.mark.parametrize("command", [("simulate",), ("train", "c.h5"), ("augment", "--plugin=x")])
def test_a_negative_seed(
    refused: Callable[..., str], tmp_path: Path, command: tuple[str, ...]
) -> None:
    assert "--seed" in refused(*command, "--seed", "-1", "-o", tmp_path / "out")
