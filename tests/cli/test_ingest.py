"""Scans on disk to a cohort, through the command line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from qctkit.cohort import MaskOrigin
from qctkit.store.reader import CohortFile
from qctkit.subject import Origin, Sex
from qctkit.volume import Volume


def write_dicom(folder: Path, volume: Volume, leave_out: int | None = None) -> Path:
    """Write an axis-aligned volume as a DICOM series of a woman of 61 years and 55 kg."""
    folder.mkdir(parents=True)
    affine, spacing = volume.geometry.affine, volume.spacing_mm
    to_lps = np.array([-1.0, -1.0, 1.0])
    along = to_lps[:, None] * affine[:3, :3] / np.asarray(spacing)
    for number, pixels in enumerate(volume.voxels):
        if number == leave_out:
            continue
        one = Dataset()
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, generate_uid()
        one.SeriesInstanceUID, one.Modality, one.InstanceNumber = "1.2.3", "CT", number + 1
        one.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        one.PatientSex, one.PatientAge, one.PatientWeight = "F", "061Y", "55"
        corner = to_lps * (affine @ [number, 0, 0, 1])[:3]
        one.ImagePositionPatient = [round(float(x), 6) for x in corner]
        one.ImageOrientationPatient = [round(float(x), 6) for x in (*along[:, 2], *along[:, 1])]
        one.PixelSpacing = [float(spacing[1]), float(spacing[2])]
        one.RescaleSlope, one.RescaleIntercept = 1, 0
        one.Rows, one.Columns = pixels.shape
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
        one.PixelData = pixels.astype("<i2").tobytes()
        one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID
        one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
        one.save_as(folder / f"{number:03d}.dcm", enforce_file_format=True)
    return folder


@pytest.fixture
def table(nifti: Path, tmp_path: Path) -> Callable[..., Path]:
    """Write a table of subjects beside the scans' folder; ``{0}`` is the folder of scans."""

    def write(*rows: str, header: str = "subject_id,path,sex,age_years,weight_kg,mask") -> Path:
        path = tmp_path / "subjects.csv"
        path.write_text("\n".join([header, *rows]).replace("{0}", f"{nifti}") + "\n")
        return path

    return write


ROW = "A,{0}/sim-0001.nii.gz,M,71.5,,{0}/sim-0001_mask.nii.gz"


def test_a_table_of_nifti_files_with_masks_comes_back_as_it_was(
    qctkit: Callable[..., Any], table: Callable[..., Path], real: Path, tmp_path: Path
) -> None:
    ended = qctkit("ingest", "--table", table(ROW), "-o", tmp_path / "in.h5")
    assert (ended.code, ended.out.startswith("1 samples")) == (0, True)
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
    assert "calibrated" in qctkit("info", tmp_path / "in.h5").out


def test_side_crops_the_scan_and_keeps_every_voxel_of_the_femur(
    qctkit: Callable[..., Any], table: Callable[..., Path], real: Path, tmp_path: Path
) -> None:
    source = CohortFile(real).load("sim-0001")
    side = ("--side", source.femur.side)
    assert qctkit("ingest", "--table", table(ROW), *side, "-o", tmp_path / "in.h5").code == 0
    found = CohortFile(tmp_path / "in.h5").load("A")
    assert found.volume.voxels.size < source.volume.voxels.size
    inside = found.volume.voxels[found.femur.voxels]
    np.testing.assert_array_equal(inside, source.volume.voxels[source.femur.voxels])


def test_a_dicom_folder_gives_what_the_table_leaves_open(
    qctkit: Callable[..., Any], table: Callable[..., Path], real: Path, tmp_path: Path
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
    refused: Callable[..., str], real: Path, tmp_path: Path
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
