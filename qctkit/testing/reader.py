"""The contract of readers, as checks."""

import pickle
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import SkipTest

import numpy as np

from qctkit.contracts import FoundScan, Reader, Scan
from qctkit.errors import ScanError
from qctkit.testing.contract import Contract, expect
from qctkit.testing.cost import cost_in_words
from qctkit.testing.femurs import make_femur
from qctkit.testing.writes import writes_only_below
from qctkit.volume import Volume


class ReaderContract(Contract):
    """A reader finds and loads scans of its format, and refuses the rest as its protocol says.

    Override ``write_example`` with a few lines that write a file of the format; what cannot be
    checked without one is skipped.
    """

    component: Reader

    def write_example(self, folder: Path, volume: Volume) -> Path:
        """Write a volume below the folder in the reader's format, and return what it claims."""
        raise SkipTest(
            f"no example of {self.component.name} to read; the plugin's own tests override "
            f"write_example (asked to write {volume.voxels.shape} voxels below {folder.name})"
        )

    def test_claims_never_raises(self) -> None:
        """It looks at any path without raising, and claims none of what is no scan at all."""
        with tempfile.TemporaryDirectory() as name:
            for path in _no_scans(Path(name)):
                expect(self.component.claims(path) is False, f"it claims {path.name}")

    def test_it_claims_its_format(self) -> None:
        """It claims a file or folder of its format."""
        with self._example() as (path, _):
            expect(self.component.claims(path) is True, "it does not claim its own example")

    def test_it_finds_the_same_scans_every_time(self) -> None:
        """It finds the scans at a path in the same order every time."""
        with self._example() as (path, _):
            first, again = ([one.description for one in self._find(path)] for _ in range(2))
            expect(first == again, f"it found {first}, then {again}")
            self.found("; ".join(first))

    def test_a_scan_has_the_voxels_and_the_geometry_of_the_file(self) -> None:
        """A scan has the voxels, in HU, and the geometry of the file."""
        with self._example() as (path, volume):
            (found,) = self._find(path)
            scan = found.load()
            expect(isinstance(scan, Scan), f"load gave {type(scan).__name__}, expected a Scan")
            expect(scan.volume.voxels.shape == volume.voxels.shape, "the shape is another")
            worst = float(np.abs(scan.volume.voxels.astype(float) - volume.voxels).max())
            expect(worst <= 0.5, f"a voxel is off by {worst:g} HU")
            expect(scan.volume.geometry.matches(volume.geometry), "the geometry is another")
            self.found(f"{scan.volume.voxels.shape} voxels, off by {worst:g} HU at most")

    def test_a_found_scan_can_be_pickled(self) -> None:
        """A found scan can be pickled, since scans are read in several processes."""
        with self._example() as (path, volume):
            (found,) = self._find(path)
            again: FoundScan = pickle.loads(pickle.dumps(found))
            expect(again.load().volume.voxels.shape == volume.voxels.shape, "the shape is another")

    def test_a_damaged_file_is_a_scan_error_that_does_not_name_the_path(self) -> None:
        """A file that was cut off is a ScanError, whose message does not name the path."""
        with self._example() as (path, _):
            for file in [path] if path.is_file() else sorted(path.rglob("*")):
                if file.is_file():
                    content = file.read_bytes()
                    file.write_bytes(content[: len(content) // 2])
            try:
                for found in self._find(path):
                    found.load()
            except ScanError as error:
                expect(path.name not in str(error), f"its message names the path: {error}")
                self.found(str(error).splitlines()[0])
            else:
                expect(False, "half a file is read without an error")

    def test_it_writes_no_file(self) -> None:
        """Reading writes no file."""
        with self._example() as (path, _), writes_only_below():
            for found in self._find(path):
                found.load()

    def test_what_a_call_costs(self) -> None:
        """Reading 40 x 32 x 32 voxels takes the time and memory stated."""
        with self._example() as (path, _):
            self.found(cost_in_words(lambda: [one.load() for one in self._find(path)]))

    def _find(self, path: Path) -> list[FoundScan]:
        return list(self.component.find(path))

    @contextmanager
    def _example(self) -> Iterator[tuple[Path, Volume]]:
        volume = make_femur().volume
        with tempfile.TemporaryDirectory() as folder:
            yield self.write_example(Path(folder), volume), volume


def _no_scans(folder: Path) -> list[Path]:
    empty, text, nothing = folder / "empty", folder / "notes.txt", folder / "nothing.bin"
    empty.mkdir()
    text.write_text("no scan\n", encoding="utf-8")
    nothing.write_bytes(b"")
    return [folder / "missing", empty, text, nothing]
