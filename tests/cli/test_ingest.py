"""Scans on disk to a cohort, through the command line."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qctkit.cohort import MaskOrigin, Side
from qctkit.errors import QctkitError
from qctkit.exporters.nifti_file import write_mask, write_volume
from qctkit.geometry import Geometry
from qctkit.pipeline.ingest_scan import samples_of
from qctkit.placement import Placement
from qctkit.processes import in_processes
from qctkit.readers.nifti import NiftiReader
from qctkit.segmentation import femur_side
from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter
from qctkit.subject import Origin, Sex
from qctkit.units import Material
from qctkit.volume import Volume

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def table(nifti: Path, tmp_path: Path) -> Callable[..., Path]:
    """Write a table of subjects beside the scans' folder; ``{0}`` is the folder of scans."""

    def write(*rows: str, header: str = "subject_id,path,sex,age_years,weight_kg,mask") -> Path:
        path = tmp_path / "subjects.csv"
        path.write_text("\n".join([header, *rows]).replace("{0}", f"{nifti}") + "\n")
        return path

    return write


ROW = "A,{0}/sim-0001.nii.gz,M,71.5,,{0}/sim-0001_mask.nii.gz"
ROW_B, ROW_C = (
    ROW.replace("A,", f"{subject},").replace("0001", number)
    for subject, number in (("B", "0002"), ("C", "0003"))
)


def test_a_table_of_nifti_files_with_masks_comes_back_as_it_was(
    qctkit: Callable[..., Any], table: Callable[..., Path], real: Path, tmp_path: Path
) -> None:
    ended = qctkit("ingest", "--table", table(ROW), "-o", tmp_path / "in.h5")
    assert (ended.code, ended.out.startswith("1 sample of 1 subject in")) == (0, True)
    found, source = CohortFile(tmp_path / "in.h5").load("A"), CohortFile(real).load("sim-0001")
    np.testing.assert_array_equal(found.volume.voxels, source.volume.voxels)
    np.testing.assert_array_equal(found.femur.voxels, source.femur.voxels)
    assert (found.femur.side, found.femur.origin) == (source.femur.side, MaskOrigin.GIVEN)
    assert (found.subject.sex, found.subject.age_years) == (Sex.M, 71.5)
    assert (found.subject.weight_kg, found.subject.origin("weight_kg")) == (None, Origin.MISSING)


def test_a_calibration_is_kept(
    qctkit: Callable[..., Any], table: Callable[..., Path], tmp_path: Path
) -> None:
    line = ("--calibration", "0.8003", "8.12", "K2HPO4")
    assert qctkit("ingest", "--table", table(ROW), *line, "-o", tmp_path / "in.h5").code == 0
    found = CohortFile(tmp_path / "in.h5").load("A").volume.calibration
    assert found is not None
    assert (found.slope_mg_cm3_per_hu, found.intercept_mg_cm3) == (0.8003, 8.12)
    assert "0.8003 HU + 8.12 mg/cm3 K2HPO4" in qctkit("info", tmp_path / "in.h5").out


@pytest.fixture
def wide(real: Path, nifti: Path) -> Path:
    """A scan that reaches on to where the other hip would be, with its mask beside it."""
    source = CohortFile(real).load("sim-0001")
    pad = [(0, 0), (0, 0), (0, 0)]
    # Of w, which runs to the patient's right, the end on the body's inner side.
    pad[2] = (0, 60) if source.femur.side is Side.LEFT else (60, 0)
    affine = source.volume.geometry.affine.copy()
    affine[:3, 3] -= affine[:3, 2] * pad[2][0]
    voxels = np.pad(source.volume.voxels, pad, constant_values=-1000)
    grid = Geometry(voxels.shape, affine)
    write_volume(nifti / "wide.nii.gz", Volume(voxels, grid))
    write_mask(nifti / "wide_mask.nii.gz", np.pad(source.femur.voxels, pad), grid)
    return nifti / "wide.nii.gz"


WIDE = "A,{0}/wide.nii.gz,M,71.5,,{0}/wide_mask.nii.gz"


def test_side_crops_a_femur_where_the_other_hip_is_in_view(
    qctkit: Callable[..., Any], table: Callable[..., Path], real: Path, wide: Path, tmp_path: Path
) -> None:
    source = CohortFile(real).load("sim-0001")
    side = ("--side", source.femur.side)
    assert qctkit("ingest", "--table", table(WIDE), *side, "-o", tmp_path / "in.h5").code == 0
    found = CohortFile(tmp_path / "in.h5").load("A")
    inside = found.volume.voxels[found.femur.voxels]
    np.testing.assert_array_equal(inside, source.volume.voxels[source.femur.voxels])
    whole = NiftiReader().find(wide)[0].load().volume
    assert found.volume.voxels.size < whole.voxels.size
    placement = Placement.from_record(found.provenance["placement"])
    assert placement.source.matches(whole.geometry)
    np.testing.assert_array_equal(
        placement.put_back(found.volume.voxels, whole.voxels), whole.voxels
    )


def test_one_hip_in_view_is_not_cropped(
    qctkit: Callable[..., Any], table: Callable[..., Path], real: Path, tmp_path: Path
) -> None:
    source = CohortFile(real).load("sim-0001")
    side = ("--side", source.femur.side)
    assert qctkit("ingest", "--table", table(ROW), *side, "-o", tmp_path / "in.h5").code == 0
    found = CohortFile(tmp_path / "in.h5").load("A")
    np.testing.assert_array_equal(found.volume.voxels, source.volume.voxels)


def test_the_other_side_is_refused(
    refused: Callable[..., str], table: Callable[..., Path], real: Path, tmp_path: Path
) -> None:
    other = "left" if CohortFile(real).load("sim-0001").femur.side is Side.RIGHT else "right"
    message = refused("ingest", "--table", table(ROW), "--side", other, "-o", tmp_path / "in.h5")
    assert f"no {other} femur was found or given" in message


def test_mirrored_femora_are_of_one_side_and_can_be_put_back(
    qctkit: Callable[..., Any], table: Callable[..., Path], real: Path, tmp_path: Path
) -> None:
    source = CohortFile(real).load("sim-0001")
    other = "left" if source.femur.side is Side.RIGHT else "right"
    mirror = ("--mirror-to", other)
    assert qctkit("ingest", "--table", table(ROW), *mirror, "-o", tmp_path / "in.h5").code == 0
    found = CohortFile(tmp_path / "in.h5").load("A")
    assert found.femur.side == other
    assert femur_side(found.femur.voxels, found.volume.geometry) == other
    placement = Placement.from_record(found.provenance["placement"])
    back = placement.put_back(found.femur.voxels, np.zeros_like(source.femur.voxels))
    np.testing.assert_array_equal(back, source.femur.voxels)


def test_both_hips_become_samples_of_one_subject(
    qctkit: Callable[..., Any], tmp_path: Path
) -> None:
    scan = SHARED / "ct" / "tcga-ov-pelvis" / "TCGA-09-2043_dicom_z1055-1145.zip"
    if not scan.exists():
        pytest.skip("the real scans (../shared/data) are not here")
    both = ("--side", "both", "--mirror-to", "left")
    ended = qctkit("ingest", scan, *both, "-o", tmp_path / "hips.h5")
    assert ended.out.startswith("2 samples of 1 subject in")
    cohort = CohortFile(tmp_path / "hips.h5")
    assert cohort.sample_ids == ("subject-001-left", "subject-001-right")
    left, right = cohort
    assert (left.femur.side, right.femur.side) == (Side.LEFT, Side.LEFT)
    assert left.subject == right.subject
    middle = [np.argwhere(one.femur.voxels).mean(axis=0) for one in (left, right)]
    placed = [
        Placement.from_record(one.provenance["placement"]).to_source_index(centre)
        for one, centre in zip((left, right), middle, strict=True)
    ]
    # Columns of an axial DICOM slice run from the patient's right to the left.
    assert placed[1][2] < 256 < placed[0][2]


def test_both_femora_of_a_totalsegmentator_folder_become_samples(
    qctkit: Callable[..., Any], table: Callable[..., Path], real: Path, wide: Path, tmp_path: Path
) -> None:
    femur = CohortFile(real).load("sim-0001").femur
    grid = NiftiReader().find(wide)[0].load().volume.geometry
    given = np.zeros(grid.shape, dtype=bool)
    own = given[..., :53] if femur.side is Side.LEFT else given[..., -53:]
    own[:] = femur.voxels
    folder = tmp_path / "segmentations"
    folder.mkdir()
    other = Side.RIGHT if femur.side is Side.LEFT else Side.LEFT
    write_mask(folder / f"femur_{femur.side}.nii.gz", given, grid)
    write_mask(folder / f"femur_{other}.nii.gz", given[..., ::-1].copy(), grid)
    rows = table(f"A,{{0}}/wide.nii.gz,,,,{folder}")
    both = ("--side", "both")
    ended = qctkit("ingest", "--table", rows, *both, "-o", tmp_path / "in.h5")
    assert ended.code == 0, ended.err
    assert CohortFile(tmp_path / "in.h5").sample_ids == ("A-left", "A-right")
    assert [one.femur.side for one in CohortFile(tmp_path / "in.h5")] == [Side.LEFT, Side.RIGHT]


def test_a_mask_on_another_grid_is_refused_by_line_and_column(
    refused: Callable[..., str], table: Callable[..., Path], wide: Path, tmp_path: Path
) -> None:
    write_mask(
        wide.with_name("far_mask.nii.gz"),
        np.ones((4, 4, 4), dtype=bool),
        Geometry.from_spacing((4, 4, 4), (1.0, 1.0, 1.0), (999.0, 0.0, 0.0)),
    )
    rows = table(f"A,{wide},,,,{{0}}/far_mask.nii.gz")
    message = refused("ingest", "--table", rows, "-o", tmp_path / "in.h5")
    assert "line 2 (A)" in message
    assert "column 'mask'" in message
    assert "grid of its scan" in message


MINDWAYS = "462.94;345.74;176.71;-35.38;-69.55"
RODS = "subject_id,path,mask,phantom,rods_hu,tube_voltage_kvp"


def test_each_row_can_have_its_own_calibration(
    qctkit: Callable[..., Any], table: Callable[..., Path], tmp_path: Path
) -> None:
    a, b, c = (f"{{0}}/sim-000{n}.nii.gz,{{0}}/sim-000{n}_mask.nii.gz" for n in "123")
    rows = table(f"A,{a},mindways-model-3,{MINDWAYS},", f"B,{b},,,", f"C,{c},,,120", header=RODS)
    stated = ("--calibration", "0.8", "5", "K2HPO4")
    ended = qctkit("ingest", "--table", rows, *stated, "-o", tmp_path / "in.h5")
    assert ended.code == 0, ended.err
    by_rods, by_option, at_120 = (one.volume.calibration for one in CohortFile(tmp_path / "in.h5"))
    assert by_rods is not None
    assert f"{by_rods.slope_mg_cm3_per_hu:.4f}" == "0.8003"
    assert f"{by_rods.intercept_mg_cm3:.2f}" == "8.12"
    assert by_option is not None
    assert (by_option.slope_mg_cm3_per_hu, by_option.tube_voltage_kvp) == (0.8, None)
    assert at_120 is not None
    assert at_120.tube_voltage_kvp == 120


def test_mixed_materials_are_refused_or_converted(
    qctkit: Callable[..., Any],
    refused: Callable[..., str],
    table: Callable[..., Path],
    tmp_path: Path,
) -> None:
    a, b = (f"{{0}}/sim-000{n}.nii.gz,{{0}}/sim-000{n}_mask.nii.gz" for n in "12")
    header = RODS.replace("phantom,rods_hu", "calibration_slope,calibration_intercept")
    header = header.replace(",tube", ",calibration_material,tube")
    rows = table(f"A,{a},0.8,8,K2HPO4,120", f"B,{b},1.0,0,HA,120", header=header)
    message = refused("ingest", "--table", rows, "-o", tmp_path / "in.h5")
    assert "A is calibrated to K2HPO4 and B to HA" in message
    assert "--convert-material" in message
    convert = ("--convert-material", "HA")
    assert qctkit("ingest", "--table", rows, *convert, "-o", tmp_path / "in.h5").code == 0
    lines = [one.volume.calibration for one in CohortFile(tmp_path / "in.h5")]
    assert {line.material for line in lines if line} == {Material.HA}
    # At 120 kVp a K2HPO4 density is 0.8267 of the HA density (Goodsitt 1992, interpolated).
    assert lines[0] is not None
    assert lines[0].slope_mg_cm3_per_hu == pytest.approx(0.8 / (0.86 - 0.05 * 40 / 60))


def test_internal_calibration_is_marked_approximate(
    qctkit: Callable[..., Any], table: Callable[..., Path], tmp_path: Path
) -> None:
    internal = ("--internal-calibration", "-o", tmp_path / "in.h5")
    ended = qctkit("ingest", "--table", table(ROW), *internal)
    assert "approximate" in ended.out
    line = CohortFile(tmp_path / "in.h5").load("A").volume.calibration
    assert line is not None
    assert line.is_approximate
    assert "approximate" in qctkit("info", tmp_path / "in.h5").out


def test_uncalibrated_scans_are_said_to_be(
    qctkit: Callable[..., Any], table: Callable[..., Path], tmp_path: Path
) -> None:
    ended = qctkit("ingest", "--table", table(ROW), "-o", tmp_path / "in.h5")
    assert "uncalibrated" in ended.out
    assert "uncalibrated" in qctkit("info", tmp_path / "in.h5").out


def test_a_dicom_folder_gives_what_the_table_leaves_open(
    write_dicom: Callable[..., Path],
    qctkit: Callable[..., Any],
    table: Callable[..., Path],
    real: Path,
    tmp_path: Path,
) -> None:
    source = CohortFile(real).load("sim-0001")
    folder = write_dicom(tmp_path / "dicom", source.volume)
    row = f"A,{folder},,80,,{{0}}/sim-0001_mask.nii.gz"
    assert qctkit("ingest", "--table", table(row), "-o", tmp_path / "in.h5").code == 0
    found = CohortFile(tmp_path / "in.h5").load("A")
    np.testing.assert_array_equal(found.volume.voxels, source.volume.voxels)
    values = found.subject.sex, found.subject.age_years, found.subject.weight_kg
    assert values == (Sex.F, 80.0, 55.0)
    assert found.subject.origins == {
        "sex": Origin.HEADER, "age_years": Origin.TABLE, "weight_kg": Origin.HEADER
    }  # fmt: skip


def test_a_dicom_series_with_a_slice_missing_is_refused(
    write_dicom: Callable[..., Path], refused: Callable[..., str], real: Path, tmp_path: Path
) -> None:
    volume = CohortFile(real).load("sim-0001").volume
    folder = write_dicom(tmp_path / "dicom", volume, leave_out=7)
    message = refused("ingest", folder, "-o", tmp_path / "in.h5")
    assert f"{folder}" in message
    assert "slice" in message


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["A,nowhere.nii.gz,,,,"], ("line 2", "'path'", "nowhere.nii.gz")),
        ([ROW.replace(",M,", ",X,")], ("line 2", "'sex'", "'X'")),
        ([ROW.replace(",71.5,,", ",71.5,-60,")], ("line 2", "'weight_kg'", "-60")),
        ([ROW, ROW], ("line 3", "'subject_id'", "line 2")),
    ],
)
def test_a_wrong_row_is_named(
    refused: Callable[..., str],
    table: Callable[..., Path],
    tmp_path: Path,
    rows: list[str],
    words: tuple[str, ...],
) -> None:
    path = table(*rows)
    message = refused("ingest", "--table", path, "-o", tmp_path / "in.h5")
    assert all(word in message for word in (f"{path}", *words))


def test_a_wrong_column_is_named_with_the_nearest(
    refused: Callable[..., str], table: Callable[..., Path], tmp_path: Path
) -> None:
    path = table(ROW, header="subject_id,path,sex,age,weight_kg,mask")
    message = refused("ingest", "--table", path, "-o", tmp_path / "in.h5")
    assert "'age'" in message
    assert "'age_years'" in message


def test_a_later_bad_scan_leaves_nothing_of_the_earlier(
    refused: Callable[..., str], table: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "bad.nii.gz").write_bytes(b"\x1f\x8b not really")
    path = table(ROW, "B,bad.nii.gz,,,,")
    message = refused("ingest", "--table", path, "-o", tmp_path / "in.h5")
    assert "line 3 (B)" in message
    assert "bad.nii.gz" in message


def test_a_delivery_is_sorted_into_patients_and_series(
    write_dicom: Callable[..., Path], qctkit: Callable[..., Any], real: Path, tmp_path: Path
) -> None:
    delivery = tmp_path / "delivery"
    planned = (("x", "P1", "1.2.1"), ("a", "P2", "1.2.2"), ("b", "P1", "1.2.3"))
    for number, (name, patient, series) in enumerate(planned):
        volume = CohortFile(real).load(f"sim-{number:04d}").volume
        write_dicom(delivery / name, volume, PatientID=patient, SeriesInstanceUID=series)
    ended = qctkit("ingest", delivery, "-o", tmp_path / "in.h5", "-j", "1")
    assert (ended.code, ended.out.split(" in ")[0]) == (0, "3 samples of 2 subjects")
    cohort = CohortFile(tmp_path / "in.h5")
    assert cohort.sample_ids == ("subject-001-1", "subject-002", "subject-001-2")
    assert cohort.subject("subject-001-2").subject_id == "subject-001"


def test_a_key_gives_one_patient_the_same_id_in_every_run(
    write_dicom: Callable[..., Path],
    qctkit: Callable[..., Any],
    table: Callable[..., Path],
    real: Path,
    tmp_path: Path,
) -> None:
    (tmp_path / "key").write_text("0123456789abcdef0123")
    volume = CohortFile(real).load("sim-0001").volume
    folder = write_dicom(tmp_path / "dicom", volume, PatientID="MRN 42")
    key = ("--key-file", tmp_path / "key")
    assert qctkit("ingest", folder, *key, "-o", tmp_path / "a.h5").code == 0
    rows = table(f"MRN 42,{folder},,,,{{0}}/sim-0001_mask.nii.gz")
    ended = qctkit("ingest", "--table", rows, *key, "-o", tmp_path / "b.h5")
    assert "MRN" not in ended.out + ended.err
    (by_header,), (by_table,) = (CohortFile(tmp_path / f"{one}.h5").sample_ids for one in "ab")
    assert by_header == by_table
    (tmp_path / "key").write_text("another key, not the one before")
    assert qctkit("ingest", "--table", rows, *key, "-o", tmp_path / "c.h5").code == 0
    assert CohortFile(tmp_path / "c.h5").sample_ids != (by_header,)


@pytest.mark.parametrize(("content", "words"), [(None, "no such key file"), ("short", "16 bytes")])
def test_a_key_that_cannot_keep_a_secret_is_refused(
    refused: Callable[..., str], nifti: Path, tmp_path: Path, content: str | None, words: str
) -> None:
    if content is not None:
        (tmp_path / "key").write_text(content)
    key = ("--key-file", tmp_path / "key")
    message = refused("ingest", nifti / "sim-0000.nii.gz", *key, "-o", tmp_path / "in.h5")
    assert words in message
    assert "secrets.token_hex" in message


def test_a_key_has_nothing_to_hash_in_a_nifti_file(
    refused: Callable[..., str], nifti: Path, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("0123456789abcdef0123")
    key = ("--key-file", tmp_path / "key")
    message = refused("ingest", nifti / "sim-0000.nii.gz", *key, "-o", tmp_path / "in.h5")
    assert "no patient id" in message


def test_one_patient_id_of_both_sexes_is_refused(
    write_dicom: Callable[..., Path], refused: Callable[..., str], real: Path, tmp_path: Path
) -> None:
    volume = CohortFile(real).load("sim-0001").volume
    for name, sex in (("a", "F"), ("b", "M")):
        changes = {
            "PatientID": "ANONYMOUS",
            "PatientSex": sex,
            "SeriesInstanceUID": f"1.2.{ord(sex)}",
        }
        write_dicom(tmp_path / "dicom" / name, volume, **changes | {"SeriesNumber": ord(sex)})
    message = refused("ingest", tmp_path / "dicom", "-o", tmp_path / "in.h5")
    assert "state both sexes" in message
    assert "ANONYMOUS" not in message


BAD_ROW = "B,{0}/samples.csv,,,,"


def test_all_refusals_are_told_at_once(
    refused: Callable[..., str], table: Callable[..., Path], tmp_path: Path
) -> None:
    rows = table(BAD_ROW, ROW, BAD_ROW.replace("B,", "C,"))
    message = refused("ingest", "--table", rows, "-o", tmp_path / "in.h5")
    assert "2 of 3 scans cannot be used" in message
    assert all(word in message for word in ("line 2 (B)", "line 4 (C)", "--skip-refused"))


def test_refused_scans_can_be_left_out(
    qctkit: Callable[..., Any], table: Callable[..., Path], tmp_path: Path
) -> None:
    rows = table(BAD_ROW, ROW)
    ended = qctkit("ingest", "--table", rows, "--skip-refused", "-o", tmp_path / "in.h5")
    assert ended.code == 1
    assert "left out: " in ended.err
    assert "line 2 (B)" in ended.err
    assert CohortFile(tmp_path / "in.h5").sample_ids == ("A",)


def test_two_processes_give_the_same_bytes_as_one(
    qctkit: Callable[..., Any], table: Callable[..., Path], tmp_path: Path
) -> None:
    rows = table(ROW, ROW_B, ROW_C)
    for workers in "12":
        output = tmp_path / f"{workers}.h5"
        assert qctkit("ingest", "--table", rows, "-j", workers, "-o", output).code == 0
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "2.h5").read_bytes()


def test_an_interrupted_run_goes_on_to_the_same_bytes(
    qctkit: Callable[..., Any],
    table: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = table(ROW, ROW_B)
    command = ("ingest", "--table", rows, "-j", "1", "-o")
    assert qctkit(*command, tmp_path / "whole.h5").code == 0

    def interrupted(entry: Any, options: Any) -> Any:
        if entry.sample_id == "B":
            raise KeyboardInterrupt
        return samples_of(entry, options)

    with monkeypatch.context() as patch:
        patch.setattr("qctkit.pipeline.ingest.samples_of", interrupted)
        ended = qctkit(*command, tmp_path / "in.h5")
    assert (ended.code, "--resume" in ended.err) == (130, True)
    assert qctkit(*command, tmp_path / "in.h5").code == 2
    other = ("--side", "both", "--resume")
    assert "differ" in qctkit(*command, tmp_path / "in.h5", *other).err
    assert qctkit(*command, tmp_path / "in.h5", "--resume").code == 0
    assert (tmp_path / "in.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_a_table_that_contradicts_the_header_is_told(
    write_dicom: Callable[..., Path],
    qctkit: Callable[..., Any],
    table: Callable[..., Path],
    real: Path,
    tmp_path: Path,
) -> None:
    folder = write_dicom(tmp_path / "dicom", CohortFile(real).load("sim-0001").volume)
    rows = table(f"A,{folder},M,,,{{0}}/sim-0001_mask.nii.gz")
    ended = qctkit("ingest", "--table", rows, "-o", tmp_path / "in.h5")
    assert "A: the table says M, the header F; the table is used" in ended.err
    assert CohortFile(tmp_path / "in.h5").subject("A").sex is Sex.M


def test_one_scan_under_two_ids_is_refused(
    refused: Callable[..., str], table: Callable[..., Path], tmp_path: Path
) -> None:
    rows = table(ROW, ROW.replace("A,", "B,"))
    assert "A and B are the same" in refused("ingest", "--table", rows, "-o", tmp_path / "in.h5")


def test_new_subjects_get_no_number_that_a_cohort_given_has(
    qctkit: Callable[..., Any], nifti: Path, real: Path, tmp_path: Path
) -> None:
    second = nifti / "sim-0002.nii.gz"
    for name, number in (("first", 1), ("other", 2)):
        sample = CohortFile(real).load(f"sim-000{number}")
        subject = replace(sample.subject, subject_id="subject-001")
        with CohortWriter(tmp_path / f"{name}.h5", {"command": "ingest"}) as writer:
            writer.add(0, replace(sample, sample_id="subject-001", subject=subject))
    ended = qctkit("ingest", second, tmp_path / "first.h5", "-o", tmp_path / "merged.h5")
    assert "2 samples of 2 subjects" in ended.out
    assert CohortFile(tmp_path / "merged.h5").sample_ids == ("subject-002", "subject-001")
    both = (tmp_path / "first.h5", tmp_path / "other.h5")
    ended = qctkit("ingest", *both, "-o", tmp_path / "mixed.h5")
    assert (ended.code, "may be two people" in ended.err) == (2, True)


def test_a_resumed_run_must_find_the_same_files(
    qctkit: Callable[..., Any], nifti: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    for name, number in (("a", 1), ("b", 2)):
        (folder / f"{name}.nii.gz").write_bytes((nifti / f"sim-000{number}.nii.gz").read_bytes())

    def interrupted(entry: Any, options: Any) -> Any:
        if entry.sample_id == "subject-002":
            raise KeyboardInterrupt
        return samples_of(entry, options)

    command = ("ingest", folder, "-j", "1", "-o", tmp_path / "in.h5")
    with monkeypatch.context() as patch:
        patch.setattr("qctkit.pipeline.ingest.samples_of", interrupted)
        assert qctkit(*command).code == 130
    (folder / "a.nii.gz").rename(folder / "c.nii.gz")
    ended = qctkit(*command, "--resume")
    assert ended.code == 2
    assert "inputs differ" in ended.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--phantom", "mindways-modl-3"), "mindways-model-3"),
        (("--phantom", "mindways-model-3"), "no row has"),
        (("--convert-material", "HA"), "no scan is calibrated"),
        (("--k2hpo4-over-ha", "0.8"), "--convert-material"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(
    refused: Callable[..., str],
    table: Callable[..., Path],
    tmp_path: Path,
    options: tuple[str, ...],
    words: str,
) -> None:
    rows = table(ROW)
    assert words in refused("ingest", "--table", rows, *options, "-o", tmp_path / "in.h5")


def test_an_output_among_the_scans_is_refused(
    refused: Callable[..., str], nifti: Path, tmp_path: Path
) -> None:
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "a.nii.gz").write_bytes((nifti / "sim-0001.nii.gz").read_bytes())
    message = refused("ingest", tmp_path / "scans", "-o", tmp_path / "scans" / "in.h5")
    assert "lies in the SOURCE folder" in message


def test_a_name_that_contradicts_the_masks_shape_is_told(
    qctkit: Callable[..., Any], table: Callable[..., Path], real: Path, nifti: Path, tmp_path: Path
) -> None:
    femur = CohortFile(real).load("sim-0001").femur
    other = "left" if femur.side is Side.RIGHT else "right"
    mask = tmp_path / f"femur_{other}.nii.gz"
    mask.write_bytes((nifti / "sim-0001_mask.nii.gz").read_bytes())
    rows = table(f"A,{{0}}/sim-0001.nii.gz,,,,{mask}")
    ended = qctkit("ingest", "--table", rows, "-o", tmp_path / "in.h5")
    assert f"the mask's name says {other}, its shape {femur.side}" in ended.err


def test_a_worker_that_is_ended_from_outside_is_one_error() -> None:
    with pytest.raises(QctkitError, match=r"ended from outside.*--resume"):
        list(in_processes(os._exit, [1, 1], 2))
