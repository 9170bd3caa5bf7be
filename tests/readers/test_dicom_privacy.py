import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qctkit.errors import ScanError
from qctkit.readers.choose import find_scans
from qctkit.readers.dicom import DicomReader

Write = Callable[..., Path]
PLANTED = {
    "PatientName": "Planted^Name",
    "PatientID": "PLANTED-ID",
    "PatientBirthDate": "19480317",
    "StudyDate": "20170317",
    "InstitutionName": "Planted Hospital",
    "InstitutionAddress": "Planted Street",
    "AccessionNumber": "PLANTED-ACCESSION",
    "StudyDescription": "Planted study",
    "SeriesDescription": "Planted series",
    "ReferringPhysicianName": "Planted^Doctor",
    "StudyInstanceUID": "1.2.999.1",
    "SeriesInstanceUID": "1.2.999.2",
    "FrameOfReferenceUID": "1.2.999.3",
    "PatientComments": "Planted comment",
    "StationName": "PLANTED",
}
BREAKAGES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "series": {"SeriesInstanceUID": "1.2.999.4"},
    "orientation": {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]},
    "position": {"ImagePositionPatient": [0, 0, 0]},
    "no position": {"ImagePositionPatient": None},
    "matrix": {"Rows": 9},
    "scale": {"RescaleType": "planted"},
    "sex": {"PatientSex": "PLANTED SEX"},
    "age": {"PatientAge": "1999"},
    "kind": {"SOPClassUID": "1.2.999.5"},
    "localizer": {"ImageType": ["PLANTED", "PRIMARY", "LOCALIZER"]},
    "frames": {"NumberOfFrames": 9},
}


def read_dicom(path: Path):
    return [found.load() for found in find_scans(path, [DicomReader()])]


@pytest.mark.parametrize("breakage", BREAKAGES)
@pytest.mark.filterwarnings("ignore:Invalid value|The value length:UserWarning")
def test_no_planted_value_reaches_a_result_message_or_log(
    write_series: Write, write_slice: Write, caplog: pytest.LogCaptureFixture, breakage: str
):
    caplog.set_level(logging.DEBUG)
    folder = write_series(**PLANTED)
    write_slice(6, **(PLANTED | BREAKAGES[breakage]))
    caplog.clear()
    try:
        (scan,) = read_dicom(folder)
        told = str(dataclasses.asdict(scan))
    except ScanError as error:
        told = str(error) + str(error.__cause__)
    told = (told + caplog.text).replace(str(folder), "").lower()
    shown = [v for v in ("planted", "1.2.999", "1948", "2017", "1999") if v in told]
    assert not shown


def test_library_warnings_about_odd_values_stay_inside(
    write_series: Write, caplog: pytest.LogCaptureFixture
):
    folder = write_series()
    for file in folder.iterdir():
        # An invalid number that pydicom would quote in a warning and a log line.
        file.write_bytes(file.read_bytes().replace(b"1.2.3\0", b"9.x.9\0"))
    assert len(read_dicom(folder)) == 1
    assert "9.x.9" not in caplog.text
