import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from qctkit.contracts import FoundScan, Scan
from qctkit.errors import ScanError
from qctkit.geometry import Geometry
from qctkit.readers.choose import find_one, find_scans
from qctkit.readers.dicom import DicomReader
from qctkit.readers.nifti import NiftiReader
from qctkit.volume import Volume

BUILT_IN = [NiftiReader(), DicomReader()]


def scan_of(content: str) -> Scan:
    if content == "bad":
        raise ScanError("this one is bad")
    grid = Geometry.from_spacing((1, 1, 1), (1, 1, 1))
    return Scan(Volume(np.full((1, 1, 1), int(content), np.int16), grid))


class FakeReader:
    """Claims ``.fake`` files, which hold a scan a line."""

    def __init__(self, name: str = "fake") -> None:
        self.name = name

    def claims(self, path: Path) -> bool:
        return path.suffix == ".fake" and path.is_file()

    def find(self, path: Path) -> list[FoundScan]:
        return [FoundScan(f"scan {one}", partial(scan_of, one)) for one in path.read_text().split()]


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    (tmp_path / "scan.fake").write_text("7")
    return tmp_path / "scan.fake"


def hu(found: FoundScan) -> int:
    scan = found.load()
    assert isinstance(scan, Scan)
    return int(scan.volume.voxels[0, 0, 0])


def test_the_claiming_reader_finds(fake: Path):
    assert hu(find_one(fake, [*BUILT_IN, FakeReader()])) == 7


def test_files_of_a_folder_are_found_one_by_one(fake: Path):
    (fake.parent / "inner").mkdir()
    (fake.parent / "inner" / "another.fake").write_text("8 9")
    (fake.parent / "notes.txt").touch()
    assert [hu(one) for one in find_scans(fake.parent, [*BUILT_IN, FakeReader()])] == [8, 9, 7]


def test_files_beside_a_folders_scans_are_noted(fake: Path):
    class Owner(FakeReader):
        def claims(self, path: Path) -> bool:
            return path.is_dir()

        def find(self, path: Path) -> list[FoundScan]:
            return super().find(path / "scan.fake")

    (found,) = find_scans(fake.parent, [Owner("owner"), FakeReader()])
    scan = found.load()
    assert isinstance(scan, Scan)
    assert scan.notes[0].startswith("1 files of other formats beside it were left alone")


def test_a_found_scan_can_be_sent_to_another_process(fake: Path):
    (found,) = find_scans(fake, [FakeReader()])
    assert hu(pickle.loads(pickle.dumps(found))) == 7


def test_a_refusal_says_where_without_the_name_of_a_file_not_typed(fake: Path):
    (fake.parent / "Doe^Jane.fake").write_text("bad")
    with pytest.raises(ScanError) as caught:
        find_scans(fake.parent, [FakeReader()])[0].load()
    assert str(caught.value) == (f"{fake.parent}, file 1 of 2 (in order of names): this one is bad")


def test_several_scans_are_listed_and_a_number_chooses(fake: Path):
    fake.write_text("5 6")
    with pytest.raises(ScanError, match=r"found 2: scan 5; scan 6; give .*column 'series'"):
        find_one(fake, [FakeReader()])
    assert hu(find_one(fake, [FakeReader()], number=2)) == 6
    with pytest.raises(ScanError, match="no scan number 3, only 2: scan 5; scan 6"):
        find_one(fake, [FakeReader()], number=3)


def test_two_claiming_readers_are_named(fake: Path):
    with pytest.raises(ScanError, match=r"several readers claim this \(one, two\)"):
        find_scans(fake, [FakeReader("one"), FakeReader("two")])


def test_missing_path_is_refused(tmp_path: Path):
    with pytest.raises(ScanError, match=r"absent: there is no such file or folder"):
        find_scans(tmp_path / "absent", BUILT_IN)


def test_empty_folder_is_refused(tmp_path: Path):
    (tmp_path / "scan" / "inner").mkdir(parents=True)
    with pytest.raises(ScanError, match=r"scan: the folder is empty"):
        find_scans(tmp_path / "scan", BUILT_IN)


@pytest.mark.parametrize("where", ["", "scan.fake"])
def test_unknown_format_lists_the_readers(fake: Path, where: str):
    with pytest.raises(ScanError, match=r"no reader knows this format \(readers: nifti, dicom\)"):
        find_scans(fake.parent / where, BUILT_IN)
