"""Nothing that identifies a patient reaches an output, a log line or an error.

Every element of the DICOM dictionary that can hold text, a date, a number or a UID is planted with
a value that occurs nowhere else; then everything that qctkit writes or says is searched for it.
"""

import gzip
import json
import logging
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from qctkit.store.reader import CohortFile

PLANTED = {
    "AE": "PLANTEDAE",
    "CS": "PLANTEDCS",
    "DA": "19480317",
    "DT": "19480317121314",
    "LO": "Planted LO",
    "LT": "Planted LT",
    "PN": "Planted^Name^PN",
    "SH": "Planted SH",
    "ST": "Planted ST",
    "TM": "121314.5",
    "UC": "Planted UC",
    "UI": "1.2.999.4711.1",
    "UR": "http://planted.example",
    "UT": "Planted UT",
    "DS": "48123.75",
    "IS": "48123",
    "US": 48123,
    "UL": 948123477,
}
TRACES = ("planted", "19480317", "121314", "999.4711", "48123")
USED = {  # what a CT slice needs to be one; none of it is free text
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "Modality",
    "ImageType", "InstanceNumber", "PatientSex", "PatientAge", "PatientWeight", "KVP",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope",
    "RescaleIntercept", "RescaleType", "Rows", "Columns", "SamplesPerPixel",
    "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "NumberOfFrames", "PlanarConfiguration", "SpecificCharacterSet", "PixelDataProviderURL",
    "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
}  # fmt: skip


def planted() -> dict[str, Any]:
    """Return a value for every keyword of the dictionary that a CT does not need."""
    values: dict[str, Any] = {}
    for tag, (vr, _, _, retired, keyword) in DicomDictionary.items():
        group = tag >> 16
        if keyword and not retired and keyword not in USED and group > 0x0002 and vr in PLANTED:
            values[keyword] = PLANTED[vr]
    inner = Dataset()
    inner.PatientID, inner.InstitutionName = "Planted inner", "Planted hospital"
    values["OtherPatientIDsSequence"] = Sequence([inner])
    values["RequestAttributesSequence"] = Sequence([inner])
    return values | {"StudyInstanceUID": "1.2.999.4711.2", "SeriesInstanceUID": "1.2.999.4711.3"}


def everything_in(folder: Path) -> Iterator[tuple[str, str]]:
    """Give each piece of what lies below a folder, decompressed, as text with where it was."""
    for file in sorted(folder.rglob("*")):
        yield f"name of {file.name}", file.name
        if not file.is_file():
            continue
        content = file.read_bytes()
        yield file.name, content.decode("latin-1")
        if file.suffix == ".gz":
            yield file.name, gzip.decompress(content).decode("latin-1")
        if h5py.is_hdf5(file):
            with h5py.File(file) as opened:
                yield from _hdf5(opened, file.name)


def _hdf5(group: h5py.Group, name: str) -> Iterator[tuple[str, str]]:
    for key, value in group.attrs.items():
        yield f"{name}/{group.name}@{key}", f"{key} {value}"
    for key, child in group.items():
        yield f"{name}/{group.name}", key
        if isinstance(child, h5py.Group):
            yield from _hdf5(child, name)
            continue
        values = np.asarray(child[()])
        yield f"{name}/{child.name}", f"{values.tolist() if values.dtype.kind == 'O' else ''}"
        raw = b"" if values.dtype.kind == "O" else values.tobytes()
        yield f"{name}/{child.name}", raw.decode("latin-1")


def traces_in(text: str) -> list[str]:
    return [trace for trace in TRACES if trace in text.lower().replace("\0", "")]


@pytest.fixture
def delivery(write_dicom: Callable[..., Path], real: Path, tmp_path: Path) -> Path:
    """A folder and a zip of a patient's, with names and headers full of planted values."""
    volume = CohortFile(real).load("sim-0001").volume
    folder = write_dicom(tmp_path / "in" / "Planted^Name" / "19480317", volume, **planted())
    with zipfile.ZipFile(tmp_path / "in" / "Planted.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"Planted^Name/{file.name}")
    return tmp_path / "in"


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> Callable[..., str]:
    caplog.set_level(logging.DEBUG)

    def everything(ended: Any) -> str:
        # A path may be shown as the user typed it.
        return (ended.out + ended.err + caplog.text).replace(str(tmp_path), "")

    return everything


def test_every_dictionary_keyword_is_planted() -> None:
    assert len(planted()) > 2000


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_no_planted_value_is_in_anything_written_or_said(
    qctkit: Callable[..., Any], delivery: Path, said: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("0123456789abcdef0123")
    key = ("--key-file", tmp_path / "key")
    out = tmp_path / "out"
    out.mkdir()
    commands = [
        ("ingest", delivery / "Planted^Name", "-o", out / "numbered.h5"),
        ("ingest", delivery / "Planted.zip", *key, "-o", out / "hashed.h5"),
        ("info", out / "hashed.h5"),
        ("info", out / "hashed.h5", "--json"),
        ("convert", out / "hashed.h5", "-o", out / "nifti"),
    ]
    for command in commands:
        ended = qctkit(*command)
        assert ended.code == 0, ended.err
        assert not traces_in(said(ended)), command[0]
    before = " ".join(text for _, text in everything_in(delivery))
    assert traces_in(before) == list(TRACES)  # the search finds what is there
    pieces = list(everything_in(out))
    assert len(pieces) > 50
    assert [(where, traces_in(text)) for where, text in pieces if traces_in(text)] == []
    subject = CohortFile(out / "hashed.h5").subject(CohortFile(out / "hashed.h5").sample_ids[0])
    assert re.fullmatch("s-[0-9a-f]{16}", subject.subject_id)
    assert subject.age_years == 61.0  # what may be kept is kept


BROKEN: dict[str, dict[str, Any]] = {
    "orientation": {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]},
    "no position": {"ImagePositionPatient": None},
    "scale": {"RescaleType": "PLANTED SCALE"},
    "density": {"RescaleType": "MGML"},
    "sex": {"PatientSex": "PLANTED SEX"},
    "age": {"PatientAge": "Planted"},
    "kind": {"SOPClassUID": "1.2.999.4711.5"},
    "frames": {"NumberOfFrames": 9},
    "slope": {"RescaleSlope": "1e300"},
    "pixels": {"BitsAllocated": 7},
}


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
@pytest.mark.parametrize("breakage", BROKEN)
def test_no_planted_value_is_in_an_error(
    qctkit: Callable[..., Any],
    write_dicom: Callable[..., Path],
    real: Path,
    said: Callable[..., str],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    breakage: str,
) -> None:
    source = CohortFile(real).load("sim-0001").volume
    few = source.geometry.crop((slice(0, 3), slice(0, 8), slice(0, 8)))
    volume = type(source)(source.voxels[:3, :8, :8], few)
    write_dicom(tmp_path / "in" / "Planted^Name", volume, **planted() | BROKEN[breakage])
    caplog.clear()  # pydicom quotes the odd values while they are written
    ended = qctkit("ingest", tmp_path / "in", "-o", tmp_path / "out.h5")
    assert ended.code == 2
    assert not traces_in(said(ended)), ended.err
    assert not (tmp_path / "out.h5").exists()


def test_info_shows_no_path_of_the_user_where_a_script_reads(
    qctkit: Callable[..., Any], real: Path, tmp_path: Path
) -> None:
    path = tmp_path / "Planted.h5"
    path.write_bytes(real.read_bytes())
    assert "Planted" not in json.dumps(json.loads(qctkit("info", path, "--json").out))
