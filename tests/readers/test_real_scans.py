"""The readers on real patients' CT: what the files themselves say, and a second reader."""

import csv
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813

from qctkit.contracts import Scan
from qctkit.errors import ScanError
from qctkit.readers.choose import find_scans
from qctkit.readers.dicom import DicomReader
from qctkit.readers.masks import read_masks
from qctkit.readers.nifti import NiftiReader
from qctkit.readers.table import read_subject_table
from qctkit.subject import Sex

STS = ("STS_044", "STS_040", "STS_020", "STS_015", "STS_012", "STS_031", "STS_026", "STS_001")


def read_dicom(path: Path):
    return [found.load() for found in find_scans(path, [DicomReader()])]


def read_one(reader: DicomReader | NiftiReader, path: Path) -> Scan:
    assert reader.claims(path)
    (found,) = find_scans(path, [reader])
    scan = found.load()
    assert isinstance(scan, Scan)
    return scan


def refusal(path: Path) -> str:
    with pytest.raises(ScanError) as caught:
        read_dicom(path)
    return str(caught.value)


def unpacked(archive: Path, folder: Path) -> Path:
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder)
    return folder


def test_sts_044_is_the_same_from_dicom_and_nifti(real_data: Path):
    folder = real_data / "ct" / "ibsi-sts"
    dicom = read_one(DicomReader(), folder / "STS_044_dicom.zip").volume
    nifti = read_one(NiftiReader(), folder / "STS_044_ct.nii.gz").volume
    assert np.array_equal(dicom.voxels, nifti.voxels)
    assert dicom.geometry.matches(nifti.geometry, tolerance_mm=1e-4)


def test_sts_044_states_sex_and_weight_but_no_age(real_data: Path):
    scan = read_one(DicomReader(), real_data / "ct" / "ibsi-sts" / "STS_044_dicom.zip")
    assert (scan.sex, scan.age_years, scan.weight_kg) == (Sex.M, None, 69.0)


def test_sts_044_agrees_with_simpleitk(real_data: Path, tmp_path: Path):
    folder = unpacked(real_data / "ct" / "ibsi-sts" / "STS_044_dicom.zip", tmp_path)
    volume = read_one(DicomReader(), folder).volume
    (inner,) = {file.parent for file in folder.rglob("*.dcm")}
    image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(inner)))
    assert np.array_equal(volume.voxels, sitk.GetArrayFromImage(image))
    for index in ((0, 0, 0), (52, 215, 233), (10, 20, 30)):
        lps = image.TransformIndexToPhysicalPoint(index[::-1])
        ras = volume.geometry.to_world(index)
        assert ras == pytest.approx(np.multiply(lps, [-1, -1, 1]), abs=1e-6)


def test_tcga_crop_lies_where_its_dicom_lies(real_data: Path):
    """The NIfTI holds the 36 lowest slices, rows 150-399 and columns 45-474; the zip 31 slices."""
    folder = real_data / "ct" / "tcga-ov-pelvis"
    dicom = read_one(DicomReader(), folder / "TCGA-09-2043_dicom_z1055-1145.zip").volume
    nifti = read_one(NiftiReader(), folder / "TCGA-09-2043_pelvis_ct.nii.gz").volume
    corner = dicom.geometry.to_index(nifti.geometry.to_world((0, 0, 0)))
    assert corner == pytest.approx([0, 150, 45], abs=1e-4)
    assert np.array_equal(dicom.voxels[:, 150:400, 45:475], nifti.voxels[:31])
    assert dicom.geometry.crop((slice(0, 31), slice(150, 400), slice(45, 475))).matches(
        nifti.geometry.crop((slice(0, 31), slice(0, 250), slice(0, 430))), 1e-3
    )


def test_tcga_states_sex_and_age_but_no_weight(real_data: Path):
    folder = real_data / "ct" / "tcga-ov-pelvis"
    scan = read_one(DicomReader(), folder / "TCGA-09-2043_dicom_z1055-1145.zip")
    assert (scan.sex, scan.age_years, scan.weight_kg) == (Sex.F, 69.0, None)
    assert scan.volume.voxels.shape == (31, 512, 512)


@pytest.mark.parametrize("subject", STS)
def test_sts_scan_is_read_as_described(real_data: Path, subject: str):
    folder = real_data / "ct" / "ibsi-sts"
    volume = read_one(NiftiReader(), folder / f"{subject}_ct.nii.gz").volume
    with (folder / "cohort.csv").open() as stream:
        said = {row["id"]: row for row in csv.DictReader(stream)}[subject]
    assert volume.voxels.dtype == np.int16
    assert volume.voxels.shape[::-1] == tuple(map(int, said["shape_xyz"].split("x")))
    assert volume.spacing_mm == pytest.approx((3.27, 0.9766, 0.9766), abs=1e-3)


@pytest.mark.parametrize("subject", STS)
def test_sts_tumour_mask_lies_on_its_scan(real_data: Path, subject: str):
    folder = real_data / "ct" / "ibsi-sts"
    volume = read_one(NiftiReader(), folder / f"{subject}_ct.nii.gz").volume
    mask_file = folder / f"{subject}_tumour-mask.nii.gz"
    (given,) = read_masks(mask_file, volume.geometry)
    assert given.side is None


def test_sts_table_lists_eight_subjects(real_data: Path):
    rows = read_subject_table(real_data / "ct" / "ibsi-sts" / "subjects.csv")
    assert tuple(row.subject_id for row in rows) == STS
    assert (rows[0].sex, rows[0].age_years, rows[0].weight_kg) == (Sex.M, 46.0, 69.0)


def test_totalseg_example_is_int16_at_3_mm(real_data: Path):
    path = real_data / "ct" / "totalseg-example" / "totalseg_example_ct.nii.gz"
    volume = read_one(NiftiReader(), path).volume
    assert volume.voxels.dtype == np.int16
    assert volume.spacing_mm == pytest.approx((3, 3, 3))


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("gantry-tilt-philips-phantom", "from 25 (at 755.92 mm) to 30 (at 767.77 mm)"),
        ("gantry-tilt-uneven-ge", "from 10 (at 2.35 mm) to 18 (at 40.44 mm)"),
    ],
)
def test_tilted_gantry_is_refused_with_positions(real_data: Path, tmp_path: Path, name, ends):
    folder = unpacked(real_data / "dicom-hostile" / name / f"{name}.zip", tmp_path)
    message = refusal(folder)
    assert f"18.5 degrees off their normal (tilted gantry), {ends}" in message


def test_uneven_ge_spacing_is_told_beside_its_tilt(real_data: Path):
    name = "gantry-tilt-uneven-ge"
    message = refusal(real_data / "dicom-hostile" / name / f"{name}.zip")
    assert "between 14 (at 18.36 mm) and 15 (at 19.44 mm), 1.08 mm apart" in message


def test_one_slice_in_six_encodings_is_a_duplicate(real_data: Path):
    message = refusal(real_data / "dicom-hostile" / "syntaxes-from-tcga-ov")
    assert "several slices lie at one position: 144 (at 1103.00 mm)" in message


def test_six_encodings_give_equal_voxels(real_data: Path, tmp_path: Path):
    """Laid out as six slices, the six encodings of one slice read as six equal slices."""
    files = sorted((real_data / "dicom-hostile" / "syntaxes-from-tcga-ov").iterdir())
    for index, file in enumerate(files):
        dataset = pydicom.dcmread(file)
        dataset.ImagePositionPatient[2] = 3.0 * index
        dataset.save_as(tmp_path / file.name)
    voxels = read_one(DicomReader(), tmp_path).volume.voxels
    assert voxels.shape == (6, 512, 512)
    assert voxels.std() > 100
    assert (voxels == voxels[0]).all()


def test_phantom_slices_of_another_site_are_read(real_data: Path):
    scan = read_one(DicomReader(), real_data / "dicom-hostile" / "dcmqi-ct-3slice")
    assert (scan.sex, scan.age_years, scan.weight_kg) == (Sex.M, 60.0, None)
    assert scan.volume.spacing_mm == pytest.approx((1.0, 0.8105, 0.8105), abs=1e-3)


def test_nonsense_demographics_are_missing(real_data: Path, tmp_path: Path):
    for index in (0, 1):
        dataset = pydicom.dcmread(real_data / "dicom-hostile" / "pydicom" / "CT_small.dcm")
        dataset.ImagePositionPatient[2] = 3.0 * index
        dataset.save_as(tmp_path / str(index))
    scan = read_one(DicomReader(), tmp_path)
    assert (scan.sex, scan.age_years, scan.weight_kg) == (None, None, None)


def test_a_folder_of_oddities_is_sorted_and_each_refused_by_name(real_data: Path):
    found = find_scans(real_data / "dicom-hostile" / "pydicom", [DicomReader()])
    assert found[0].notes == ("skipped what is not a CT slice: 2 x localizer",)
    for number, one in enumerate(found, start=1):
        with pytest.raises(ScanError, match=f"series {number} of {len(found)}: "):
            one.load()


def test_a_delivery_of_several_archives_is_sorted_into_its_patients(real_data: Path):
    found = find_scans(real_data / "ct", [DicomReader()])
    assert [one.load().volume.voxels.shape[0] for one in found] == [53, 31]
    assert len({one.patient for one in found}) == 2
