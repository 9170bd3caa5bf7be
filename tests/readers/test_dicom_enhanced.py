"""Enhanced multi-frame CT, written by highdicom from slices that are also read one by one."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from qctkit.errors import ScanError
from qctkit.readers.choose import find_scans
from qctkit.readers.dicom import DicomReader
from qctkit.subject import Sex

Write = Callable[..., Path]
COMMON = {
    "PatientName": "Planted^Name",
    "PatientID": "PLANTED",
    "PatientBirthDate": "19480317",
    "PatientSex": "F",
    "PatientAge": "069Y",
    "PatientWeight": "62.5",
    "KVP": 120,
    "StudyInstanceUID": "1.2.999.1",
    "FrameOfReferenceUID": "1.2.999.2",
    "StudyID": "PLANTED",
    "AccessionNumber": "PLANTED",
    "StudyDate": "20170317",
    "StudyTime": "121212",
    "ReferringPhysicianName": "Planted^Doctor",
    "SeriesNumber": 3,
    "Manufacturer": "Planted",
    "PositionReferenceIndicator": "",
    "AcquisitionNumber": 1,
    "AcquisitionDate": "20170317",
    "AcquisitionTime": "121212",
    "SliceThickness": 2.5,
    "ConvolutionKernel": "B",
}


def load(path: Path):
    return [found.load() for found in find_scans(path, [DicomReader()])]


def enhanced(folder: Path, path: Path, change: Callable[[Dataset], None] | None = None) -> Path:
    """Write the slices of a folder as one legacy-converted enhanced CT."""
    slices = [pydicom.dcmread(file) for file in sorted(folder.iterdir())]
    multi = highdicom.legacy.LegacyConvertedEnhancedCTImage(
        slices, generate_uid(), 3, generate_uid(), 1
    )
    if change is not None:
        change(multi)
    multi.save_as(path)
    return path


def test_frames_are_read_as_their_slices_are(write_series: Write, tmp_path: Path):
    folder = write_series(**COMMON)
    (single,), (multi,) = load(folder), load(enhanced(folder, tmp_path / "multi.dcm"))
    np.testing.assert_array_equal(multi.volume.voxels, single.volume.voxels)
    assert multi.volume.geometry.matches(single.volume.geometry, 1e-6)
    assert (multi.sex, multi.age_years, multi.weight_kg) == (Sex.F, 69.0, 62.5)
    assert multi.tube_voltage_kvp == single.tube_voltage_kvp == 120.0


def test_frames_agree_with_simpleitk(write_series: Write, tmp_path: Path):
    path = enhanced(write_series(**COMMON), tmp_path / "multi.dcm")
    (multi,) = load(path)
    image = sitk.ReadImage(str(path))
    # ITK keeps the frames in the order of the file; positions order ours.
    assert sorted(map(bytes, sitk.GetArrayFromImage(image).astype("<i2"))) == sorted(
        map(bytes, multi.volume.voxels.astype("<i2"))
    )


def test_each_frame_has_its_own_rescaling(write_series: Write, tmp_path: Path):
    def rescale(multi: Dataset) -> None:
        shared = multi.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence
        for index, frame in enumerate(multi.PerFrameFunctionalGroupsSequence):
            frame.PixelValueTransformationSequence = deepcopy(shared)
            frame.PixelValueTransformationSequence[0].RescaleIntercept = 7 * index

    (multi,) = load(enhanced(write_series(**COMMON), tmp_path / "multi.dcm", rescale))
    first = multi.volume.voxels[:, 0, 0]
    # highdicom writes the highest slice first.
    assert first.tolist() == [100 * number + 7 * (6 - number) for number in range(1, 7)]


def test_a_frame_too_few_is_refused(write_series: Write, tmp_path: Path):
    def drop(multi: Dataset) -> None:
        del multi.PerFrameFunctionalGroupsSequence[2]

    path = enhanced(write_series(**COMMON), tmp_path / "multi.dcm", drop)
    with pytest.raises(ScanError, match="does not describe each of its frames; export it again"):
        load(path)


def test_a_frame_at_another_frames_position_is_refused(write_series: Write, tmp_path: Path):
    def copy(multi: Dataset) -> None:
        frames = multi.PerFrameFunctionalGroupsSequence
        frames[1].PlanePositionSequence = frames[0].PlanePositionSequence

    path = enhanced(write_series(**COMMON), tmp_path / "multi.dcm", copy)
    with pytest.raises(ScanError, match="several slices lie at one position"):
        load(path)


def test_truncated_frames_are_an_error(write_series: Write, tmp_path: Path):
    path = enhanced(write_series(**COMMON), tmp_path / "multi.dcm")
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(ScanError, match="truncated"):
        load(path)


def test_no_planted_value_is_kept(write_series: Write, tmp_path: Path):
    found = find_scans(enhanced(write_series(**COMMON), tmp_path / "multi.dcm"), [DicomReader()])
    told = (repr(found) + repr(found[0].load())).replace(str(tmp_path), "")
    assert not [one for one in ("planted", "1.2.999", "1948", "2017") if one in told.lower()]
