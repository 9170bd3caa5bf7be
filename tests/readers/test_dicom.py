import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    XRayRadiationDoseSRStorage,
)

from qctkit.errors import ScanError
from qctkit.geometry import Geometry
from qctkit.readers.choose import find_scans
from qctkit.readers.dicom import DicomReader
from qctkit.subject import Sex

Write = Callable[..., Path]
OBLIQUE = [0.8, 0.6, 0.0, 0.0, 0.0, -1.0]


def read_dicom(path: Path):
    return [found.load() for found in find_scans(path, [DicomReader()])]


def volume(path: Path):
    (scan,) = read_dicom(path)
    return scan.volume


def geometry_of(image: sitk.Image) -> Geometry:
    """Return SimpleITK's geometry (LPS; i, j, k) in our convention."""
    affine = np.eye(4)
    directions = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, :3] = directions[:, ::-1]
    affine[:3, 3] = image.GetOrigin()
    return Geometry(image.GetSize()[::-1], np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)


def read_by_simpleitk(folder: Path) -> sitk.Image:
    return sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))


def zipped(folder: Path, archive: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(archive, "w") as opened:
        for file in folder.iterdir():
            opened.write(file, prefix + file.name)
    return archive


def test_slices_are_ordered_by_position_not_by_name(write_series: Write):
    assert volume(write_series()).voxels[:, 0, 0].tolist() == [
        100 * number - 1024 for number in range(1, 7)
    ]


def test_affine_is_ras_with_axes_slice_row_column(write_series: Write):
    assert volume(write_series()).geometry.affine.tolist() == [
        [0, 0, -0.5, 10],
        [0, -0.7, 0, 20],
        [2.5, 0, 0, 102.5],
        [0, 0, 0, 1],
    ]


def test_axial_series_agrees_with_simpleitk(write_series: Write):
    folder = write_series()
    image = read_by_simpleitk(folder)
    assert np.array_equal(volume(folder).voxels, sitk.GetArrayFromImage(image))
    assert volume(folder).geometry.matches(geometry_of(image), tolerance_mm=1e-6)


def test_oblique_series_agrees_with_simpleitk(write_slice: Write):
    normal = np.cross(OBLIQUE[:3], OBLIQUE[3:])
    for number in range(1, 7):
        position = (np.array([5.0, 6.0, 7.0]) + 2 * number * normal).tolist()
        file = write_slice(number, ImageOrientationPatient=OBLIQUE, ImagePositionPatient=position)
    image = read_by_simpleitk(file.parent)
    assert np.array_equal(volume(file.parent).voxels, sitk.GetArrayFromImage(image))
    assert volume(file.parent).geometry.matches(geometry_of(image), tolerance_mm=1e-6)


def test_rescaling_is_applied_slice_by_slice(write_slice: Write):
    write_slice(1, RescaleSlope=2, RescaleIntercept=-100)
    file = write_slice(2, RescaleSlope=0.5, RescaleIntercept=10)
    voxels = volume(file.parent).voxels
    assert voxels.dtype == np.float32
    assert voxels[:, 0, 1].tolist() == [2 * 101 - 100, 0.5 * 201 + 10]


def test_whole_hu_values_are_held_as_int16(write_series: Write):
    assert volume(write_series()).voxels.dtype == np.int16


def test_values_beyond_int16_are_kept(write_series: Write):
    assert volume(write_series(RescaleIntercept=40000)).voxels.max() == 40619


def test_files_are_found_in_subfolders_without_extension(write_slice: Write):
    write_slice(1, name="a/deep/first")
    write_slice(2, name="b/second.txt")
    assert volume(write_slice(3, name="third").parent).voxels.shape[0] == 3


def test_zip_equals_its_folder(write_series: Write, tmp_path: Path):
    folder = write_series()
    archive = zipped(folder, tmp_path / "scan.zip")
    assert DicomReader().claims(archive)
    assert np.array_equal(volume(archive).voxels, volume(folder).voxels)


def test_zip_with_hostile_paths_writes_nothing(write_series: Write, tmp_path: Path):
    archive = zipped(write_series(), tmp_path / "scan.zip", prefix="../../escaped-")
    before = sorted(tmp_path.parent.rglob("*"))
    assert volume(archive).voxels.shape[0] == 6
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_damaged_zip_is_claimed_and_refused(write_series: Write, tmp_path: Path):
    archive = zipped(write_series(), tmp_path / "scan.zip")
    archive.write_bytes(archive.read_bytes()[:500])
    assert DicomReader().claims(archive)
    with pytest.raises(ScanError, match=r"scan\.zip: the zip archive is damaged.*copy it again"):
        read_dicom(archive)


def test_folder_and_zip_without_dicom_are_not_claimed(tmp_path: Path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "fake.dcm").write_bytes(b"no DICOM")
    archive = zipped(tmp_path / "notes", tmp_path / "notes.zip")
    assert not any(map(DicomReader().claims, (tmp_path, archive, tmp_path / "absent")))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "1 x localizer"),
        ({"SOPClassUID": SecondaryCaptureImageStorage}, "1 x secondary capture"),
        ({"SOPClassUID": XRayRadiationDoseSRStorage}, "dose report"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}, "1 x other DICOM object"),
    ],
)
def test_what_is_not_a_ct_slice_is_skipped_and_noted(
    write_series: Write, write_slice: Write, changes, words
):
    write_slice(9, SeriesInstanceUID="1.2.4", **changes)
    (found,) = find_scans(write_series(), [DicomReader()])
    assert found.notes[0].startswith("skipped what is not a CT slice: ")
    assert words in found.notes[0]


def test_only_localizers_is_an_error(write_series: Write):
    with pytest.raises(ScanError, match="no CT slices, only 6 x localizer"):
        read_dicom(write_series(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))


def test_several_frames_in_a_single_frame_file_are_refused_with_a_way_out(write_slice: Write):
    with pytest.raises(ScanError, match=r"slice 1: several frames .*export the series again as"):
        read_dicom(write_slice(1, NumberOfFrames=9).parent)


@pytest.mark.parametrize("kept", [140, 300, 0.5, 0.99])
def test_truncated_file_is_an_error(write_series: Write, kept: float):
    folder = write_series()
    file = sorted(folder.iterdir())[2]
    content = file.read_bytes()
    file.write_bytes(content[: int(kept if kept > 1 else kept * len(content))])
    with pytest.raises(ScanError, match=r"series(, series 1 of 2)?: .*(export|copy)"):
        read_dicom(folder)


def test_slice_with_truncated_pixels_is_named(write_series: Write, write_slice: Write):
    folder = write_series()
    file = write_slice(3)
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(ScanError, match=r"pixels of slice 3 \(at 107\.50 mm\) are truncated"):
        read_dicom(folder)


@pytest.mark.parametrize(
    "keyword", ["ImagePositionPatient", "PixelSpacing", "RescaleSlope", "ImageOrientationPatient"]
)
def test_missing_tag_is_named(write_series: Write, keyword: str):
    with pytest.raises(ScanError, match=rf"slice \d: {keyword} is missing.*export the series"):
        read_dicom(write_series(**{keyword: None}))


def test_voxels_scaled_to_density_are_refused(write_series: Write):
    with pytest.raises(ScanError, match="MGML, not HU"):
        read_dicom(write_series(RescaleType="MGML"))


def test_attributes_are_read(write_series: Write):
    (scan,) = read_dicom(write_series(PatientSex="F", PatientAge="069Y", PatientWeight="62.5"))
    assert (scan.sex, scan.age_years, scan.weight_kg) == (Sex.F, 69.0, 62.5)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_files_without_a_preamble_are_read(write_series: Write, tmp_path: Path, syntax: str):
    whole = write_series()
    (tmp_path / "bare").mkdir()
    for file in whole.iterdir():
        dataset = pydicom.dcmread(file)
        del dataset.file_meta, dataset.preamble
        is_implicit = syntax == ImplicitVRLittleEndian
        dataset.save_as(tmp_path / "bare" / file.name, implicit_vr=is_implicit, little_endian=True)
    assert np.array_equal(volume(tmp_path / "bare").voxels, volume(whole).voxels)


def test_absent_attributes_are_missing(write_series: Write):
    (scan,) = read_dicom(write_series(PatientBirthDate="19500101", StudyDate="20200101"))
    assert (scan.sex, scan.age_years, scan.weight_kg) == (None, None, None)


def test_contradicting_attributes_are_missing(write_series: Write, write_slice: Write):
    folder = write_series(PatientAge="069Y", PatientSex="F")
    write_slice(3, PatientAge="070Y", PatientSex="F")
    (scan,) = read_dicom(folder)
    assert (scan.sex, scan.age_years) == (Sex.F, None)


@pytest.mark.parametrize("scaling", [{"RescaleIntercept": "1e12"}, {"RescaleSlope": "1e300"}])
def test_values_that_cannot_be_hu_are_refused(write_series: Write, scaling):
    with pytest.raises(ScanError, match="these are not HU"):
        read_dicom(write_series(**scaling))


def test_an_unreadable_file_is_told_by_number_not_by_name(
    write_series: Write, monkeypatch: pytest.MonkeyPatch
):
    folder = write_series()
    third = sorted(folder.iterdir())[2]
    opened = Path.open

    def denied(path: Path, *arguments: str, **options: str):
        if path == third:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(ScanError) as caught:
        read_dicom(folder)
    assert "file 3 of 6 (in order of names) cannot be read: Permission denied" in str(caught.value)
    assert third.name not in str(caught.value).replace(str(folder), "")
