"""The main job, from a cohort to validated samples, as a user runs it."""

import csv
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from qctkit.cohort import Record, Sample
from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter
from tests.cli.conftest import WANTED

OWN = ("sex", "age_years", "weight_kg")


def test_info_lists_every_subject(qctkit: Callable[..., Any], real: Path) -> None:
    ended = qctkit("info", real)
    assert ended.code == 0
    assert "8 samples, 0 refused" in ended.out
    assert all(f"sim-000{number}" in ended.out for number in range(8))
    assert "simulated truth" in ended.out


def test_info_as_json_holds_the_same(qctkit: Callable[..., Any], real: Path) -> None:
    found = json.loads(qctkit("info", real, "--json").out)
    assert [row["sample_id"] for row in found["samples"]] == list(CohortFile(real).sample_ids)
    assert found["samples"][0]["spacing_mm"] == [4.0, 3.0, 3.0]
    assert found["units"] == {"HU": 8}
    assert found["run"]["command"] == "simulate"


def test_predict_reads_every_sample_off_the_exported_predictors(
    qctkit: Callable[..., Any], real: Path, onnx: Path
) -> None:
    ended = qctkit("predict", real, "--predictors", onnx, "--device", "cpu", "--json")
    rows = json.loads(ended.out)
    assert "CPUExecutionProvider" in ended.err
    assert [row["sample_id"] for row in rows] == list(CohortFile(real).sample_ids)
    for row in rows:
        names = ["probability_male", "age_years", "weight_kg"]
        spreads = ["age_years_spread", "weight_kg_spread"]
        assert set(row) == {"sample_id", "subject_id", "sex", *names, *spreads}
        assert row["sex"] == ("M" if row["probability_male"] > 0.5 else "F")
        assert all(math.isfinite(row[name]) for name in names)
        assert all(row[name] > 0.0 for name in spreads)


def test_predict_prints_one_line_a_sample(
    qctkit: Callable[..., Any], real: Path, onnx: Path
) -> None:
    ended = qctkit("predict", real, "--predictors", onnx, "--device", "cpu")
    assert ended.code == 0
    assert len(ended.out.splitlines()) == 9


def test_train_says_what_each_predictor_is_worth(predictors: Path) -> None:
    description = json.loads((predictors / "predictors.json").read_text())
    assert description["training"]["subjects"] == 8
    assert {one["role"] for one in description["predictors"]} == {"loop", "reader"}
    for one in description["predictors"]:
        assert set(one["skills"]) == set(one["attributes"])
        assert len(one["held_out"]) == 8


def test_augment_makes_what_is_wanted_or_says_that_it_is_short_and_overwrites_when_told_to(
    qctkit: Callable[..., Any], augment: tuple[str, ...], made: Path, tmp_path: Path
) -> None:
    (tmp_path / "again.h5").write_text("mine")
    ended = qctkit(*augment, "-o", tmp_path / "again.h5", "--overwrite")
    accepted = len(CohortFile(made))
    assert accepted <= WANTED
    assert ended.code == (0 if accepted == WANTED else 1)
    assert f"{accepted} of {WANTED} samples accepted" in ended.out
    assert (tmp_path / "again.summary.html").is_file()
    assert (tmp_path / "again.h5").read_bytes() == made.read_bytes()


def test_too_few_candidates_end_with_code_1_and_keep_the_samples(
    qctkit: Callable[..., Any], augment: tuple[str, ...], tmp_path: Path
) -> None:
    ended = qctkit(*augment, "--max-candidates", 1, "-o", tmp_path / "short.h5")
    assert ended.code == 1
    found = CohortFile(tmp_path / "short.h5")
    assert len(found) + len(found.refused) == 1


def _pairs(made: Path, real: Path) -> list[tuple[Sample, Sample]]:
    sources = CohortFile(real)
    return [(one, sources.load(one.synthesis.source_sample_id)) for one in CohortFile(made)]  # type: ignore[union-attr] # made samples have one


def test_labels_are_targets_where_carried_and_the_sources_elsewhere(made: Path, real: Path) -> None:
    for sample, source in _pairs(made, real):
        assert sample.synthesis is not None
        record = sample.synthesis.record
        for name in OWN:
            expected = getattr(source.subject, name)
            if name in record["carried"] and record["targets"][name] is not None:
                expected = record["targets"][name]
            assert getattr(sample.subject, name) == expected
            assert record["labels"][name] == expected


def test_nothing_outside_the_region_or_of_the_mask_changes(made: Path, real: Path) -> None:
    pairs = _pairs(made, real)
    assert pairs
    for sample, source in pairs:
        assert sample.synthesis is not None
        changed = sample.volume.voxels != source.volume.voxels
        assert changed.any()
        assert not changed[~sample.synthesis.region].any()
        np.testing.assert_array_equal(sample.femur.voxels, source.femur.voxels)
        np.testing.assert_array_equal(sample.volume.geometry.affine, source.volume.geometry.affine)


def test_another_seed_gives_other_samples(
    qctkit: Callable[..., Any], augment: tuple[str, ...], made: Path, tmp_path: Path
) -> None:
    qctkit(*augment, "--seed", 2, "-n", 1, "-o", tmp_path / "other.h5")
    first, other = next(iter(CohortFile(made))), next(iter(CohortFile(tmp_path / "other.h5")))
    assert not np.array_equal(first.volume.voxels, other.volume.voxels)


def test_an_interrupted_run_resumes_to_the_same_bytes_and_as_no_other_run(
    qctkit: Callable[..., Any],
    augment: tuple[str, ...],
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "made.h5"
    take = CohortWriter.take

    def interrupted(writer: CohortWriter, position: int) -> None:
        take(writer, position)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(CohortWriter, "take", interrupted)
        ended = qctkit(*augment, "-o", output)
    assert (ended.code, ended.err.splitlines()[-1]) == (130, "Interrupted.")
    assert not output.exists()
    assert [one.name for one in (tmp_path / "made.h5.parts").glob("[0-9]*.h5")]
    assert "--resume" in qctkit(*augment, "-o", output).err
    other = qctkit(*augment, "--seed", 9, "-o", output, "--resume")
    assert other.code == 2
    assert "made.h5" in other.err
    assert not output.exists()
    assert qctkit(*augment, "-o", output, "--resume").code in (0, 1)
    assert output.read_bytes() == made.read_bytes()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["made.h5", "made.summary.html"]


def test_validate_passes_what_augment_accepted(
    qctkit: Callable[..., Any], made: Path, real: Path
) -> None:
    ended = qctkit("validate", made, "--against", real)
    assert ended.code == 0
    assert ended.out.count(": passed") == len(CohortFile(made))
    found = json.loads(qctkit("validate", made, "--against", real, "--json").out)
    assert found["passed"]
    assert found["figures"]["samples"] == len(CohortFile(made))
    assert all(math.isfinite(value) for value in found["figures"].values())


def test_validate_adds_the_cohort_figures_on_request(
    qctkit: Callable[..., Any], made: Path, real: Path
) -> None:
    ended = qctkit("validate", made, "--against", real, "--figures", "--json")
    assert ended.code == 0
    analysis = json.loads(ended.out)["analysis"]
    assert analysis["yield"]["accepted"] == len(CohortFile(made))
    assert analysis["density"]["measures"][0]["name"] == "trabecular_hu"
    assert analysis["realism"]["figures"]


def test_replay_gives_every_sample_again(
    qctkit: Callable[..., Any], made: Path, real: Path, tmp_path: Path
) -> None:
    ended = qctkit("replay", made, "--all", "--source", real)
    assert ended.code == 0
    assert ended.out.count("the same, byte for byte") == len(CohortFile(made))
    first = CohortFile(made).sample_ids[0]
    again = tmp_path / "again.h5"
    assert qctkit("replay", made, first, "--source", real, "-o", again).code == 0
    assert CohortFile(again).row(first) == CohortFile(made).row(first)


def test_a_sample_that_does_not_come_out_again_ends_with_code_1(
    qctkit: Callable[..., Any], made: Path, real: Path, tmp_path: Path
) -> None:
    cohort = CohortFile(made)
    first = cohort.load(cohort.sample_ids[0])
    with CohortWriter(tmp_path / "other.h5", cohort.run, window=cohort.window) as writer:
        volume = first.volume.with_voxels(first.volume.voxels + 1)
        writer.add(0, replace(first, volume=volume))
    ended = qctkit("replay", tmp_path / "other.h5", "--all", "--source", real)
    assert ended.code == 1
    assert "comes out otherwise" in ended.out


def test_a_replay_on_another_grid_is_whole_but_not_for_training(
    qctkit: Callable[..., Any], made: Path, real: Path, tmp_path: Path
) -> None:
    first, fine = CohortFile(made).sample_ids[0], tmp_path / "fine.h5"
    arguments = ("replay", made, first, "--source", real, "--spacing-mm", 2, 2, 2, "-o", fine)
    assert qctkit(*arguments).code == 0
    assert CohortFile(fine).summary(first)["spacing_mm"] == pytest.approx([2.0, 2.0, 2.0])
    ended = qctkit("verify", fine, "--against", real)
    assert ended.code == 0
    assert "1 replayed on another grid" in ended.out
    assert "cannot be compared" in qctkit("validate", fine, "--against", real).err
    assert qctkit("train", fine, "-o", tmp_path / "predictors").code == 2


def test_info_tells_how_one_sample_and_one_refusal_came_out(
    qctkit: Callable[..., Any], made: Path
) -> None:
    cohort = CohortFile(made)
    names = [cohort.sample_ids[0], *(one["candidate_id"] for one in cohort.refused[:1])]
    for name in names:
        told = qctkit("info", made, "--sample", name)
        assert told.code == 0
        assert "stopped:" in told.out
        assert json.loads(qctkit("info", made, "--sample", name, "--json").out)["losses"]


def test_validate_fails_a_voxel_changed_outside_the_region(
    qctkit: Callable[..., Any], made: Path, real: Path, tmp_path: Path
) -> None:
    cohort = CohortFile(made)
    with CohortWriter(tmp_path / "tampered.h5", cohort.run, window=cohort.window) as writer:
        for position, sample in enumerate(cohort):
            assert sample.synthesis is not None
            voxels = sample.volume.voxels.copy()
            voxels[tuple(np.argwhere(~sample.synthesis.region)[0])] += 500
            volume = replace(sample.volume, voxels=voxels)
            writer.add(position, replace(sample, volume=volume))
    ended = qctkit("validate", tmp_path / "tampered.h5", "--against", real)
    assert ended.code == 1
    assert "structure: FAIL" in ended.out


def test_convert_writes_what_a_viewer_needs(
    qctkit: Callable[..., Any], made: Path, real: Path, tmp_path: Path
) -> None:
    assert qctkit("convert", made, "-o", tmp_path / "out", "--to", "nifti").code == 0
    endings = (".nii.gz", "_mask.nii.gz", "_region.nii.gz", ".json")
    expected = {"samples.csv", "refused.csv", "cohort.json"}
    for sample, source in _pairs(made, real):
        expected |= {sample.sample_id + ending for ending in endings}
        image = nibabel.load(tmp_path / "out" / f"{sample.sample_id}.nii.gz")
        assert image.shape == source.volume.voxels.shape[::-1]
        np.testing.assert_allclose(
            image.affine[:, [2, 1, 0, 3]], source.volume.geometry.affine, atol=1e-4
        )
        np.testing.assert_array_equal(np.asarray(image.dataobj).T, sample.volume.voxels)
    assert {one.name for one in (tmp_path / "out").iterdir()} == expected
    with (tmp_path / "out" / "samples.csv").open(newline="") as file:
        assert [row["sample_id"] for row in csv.DictReader(file)] == list(
            CohortFile(made).sample_ids
        )


def test_a_table_of_targets_chooses_the_sources(
    qctkit: Callable[..., Any], baseline: tuple[str, ...], real: Path, tmp_path: Path
) -> None:
    table = tmp_path / "targets.csv"
    sexes = {name: _other_sex(real, name) for name in ("sim-0005", "sim-0002")}
    rows = (f"{name},{sex},,\n" for name, sex in sexes.items())
    table.write_text("source_subject_id,sex,age_years,weight_kg\n" + "".join(rows))
    ended = qctkit(*baseline, "--targets", table, "-o", tmp_path / "made.h5")
    records = _records(tmp_path / "made.h5")
    assert ended.code == (0 if len(CohortFile(tmp_path / "made.h5")) == 2 else 1)
    for record in records:
        sex = sexes.pop(record["source_subject_id"])
        assert record["targets"] == {"sex": sex, "age_years": None, "weight_kg": None}
        assert record["labels"] == record["source_labels"]  # the baseline carries nothing
    assert not sexes


def test_a_target_for_all_is_asked_once_of_each_subject_that_lacks_it(
    qctkit: Callable[..., Any], baseline: tuple[str, ...], real: Path, tmp_path: Path
) -> None:
    output = tmp_path / "made.h5"
    ended = qctkit(*baseline, "--target", "sex=M", "-n", 20, "-o", output)
    women = [one for one in CohortFile(real).sample_ids if _other_sex(real, one) == "M"]
    assert ended.code in (0, 1)
    assert f"at most {len(women)} samples" in ended.err
    assert sorted(one["source_sample_id"] for one in _records(output)) == women


def _other_sex(real: Path, sample_id: str) -> str:
    return "M" if CohortFile(real).subject(sample_id).sex == "F" else "F"


def _records(path: Path) -> list[Record]:
    made = CohortFile(path)
    return [one.synthesis.record for one in made if one.synthesis] + list(made.refused)


@pytest.fixture
def baseline(real: Path, predictors: Path) -> tuple[str, ...]:
    """Return the arguments of a run of the recipe that takes every target."""
    recipe = ("augment", f"{real}", "--plugin", "voxel-baseline")
    return (*recipe, "--predictors", f"{predictors}")


def test_the_voxel_baseline_runs_and_keeps_the_sources_labels(
    qctkit: Callable[..., Any], real: Path, predictors: Path, tmp_path: Path
) -> None:
    output = tmp_path / "voxel.h5"
    ended = qctkit(
        "augment", real, "--plugin", "voxel-baseline", "--predictors", predictors, "-n", 2,
        "--max-candidates", 2, "-o", output,
    )  # fmt: skip
    assert ended.code in (0, 1)
    for sample, source in _pairs(output, real):
        for name in OWN:
            assert getattr(sample.subject, name) == getattr(source.subject, name)
    assert len(CohortFile(output)) + len(CohortFile(output).refused) >= 2
