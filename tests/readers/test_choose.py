from pathlib import Path

import numpy as np
import pytest

from qctkit.contracts import Scan
from qctkit.errors import ScanError
from qctkit.geometry import Geometry
from qctkit.readers.choose import read_scan
from qctkit.readers.dicom import DicomReader
from qctkit.readers.nifti import NiftiReader
from qctkit.volume import Volume

SCAN = Scan(Volume(np.zeros((1, 1, 1), np.int16), Geometry.from_spacing((1, 1, 1), (1, 1, 1))))


class FakeReader:
    def __init__(self, name: str, scans: int) -> None:
        self.name = name
        self.scans = scans

    def claims(self, path: Path) -> bool:
        return path.suffix == ".fake"

    def read(self, path: Path) -> list[Scan]:  # noqa: ARG002
        return [SCAN] * self.scans


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    (tmp_path / "scan.fake").touch()
    return tmp_path / "scan.fake"


def test_the_claiming_reader_reads(fake: Path):
    assert read_scan(fake, [NiftiReader(), DicomReader(), FakeReader("fake", 1)]) is SCAN


@pytest.mark.parametrize("scans", [0, 2])
def test_anything_but_one_scan_is_refused(fake: Path, scans: int):
    with pytest.raises(ScanError, match=f"expected one scan, found {scans}; give the path"):
        read_scan(fake, [FakeReader("fake", scans)])


def test_two_claiming_readers_are_named(fake: Path):
    with pytest.raises(ScanError, match=r"several readers claim this \(one, two\)"):
        read_scan(fake, [FakeReader("one", 1), FakeReader("two", 1)])


def test_missing_path_is_refused(tmp_path: Path):
    with pytest.raises(ScanError, match=r"absent: there is no such file or folder"):
        read_scan(tmp_path / "absent", [NiftiReader(), DicomReader()])


def test_empty_folder_is_refused(tmp_path: Path):
    (tmp_path / "scan" / "inner").mkdir(parents=True)
    with pytest.raises(ScanError, match=r"scan: the folder is empty"):
        read_scan(tmp_path / "scan", [NiftiReader(), DicomReader()])


def test_unknown_format_lists_the_readers(fake: Path):
    with pytest.raises(ScanError, match=r"no reader knows this format \(readers: nifti, dicom\)"):
        read_scan(fake, [NiftiReader(), DicomReader()])
