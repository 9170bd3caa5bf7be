"""The contract of exporters, as checks."""

import tempfile
from pathlib import Path

from qctkit.cohort import MemoryCohort
from qctkit.contracts import Exporter
from qctkit.errors import OutputExistsError
from qctkit.testing.contract import Contract, expect
from qctkit.testing.cost import cost_in_words
from qctkit.testing.femurs import make_people
from qctkit.testing.writes import writes_only_below


class ExporterContract(Contract):
    """An exporter writes a cohort of two where it is told to, and overwrites nothing unasked.

    That voxels and geometry are kept has to be checked by reading the files, which only the
    plugin's own tests can.
    """

    component: Exporter

    def test_it_returns_the_files_that_it_wrote(self) -> None:
        """It returns the files that it wrote, all of them below the folder."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            returned = set(self.component.export(_cohort(), folder, overwrite=False))
            there = {one for one in folder.rglob("*") if one.is_file()}
            expect(len(returned) > 0, "it wrote nothing")
            expect(returned == there, f"it does not tell of {sorted(map(str, returned ^ there))}")
            self.found(f"{len(returned)} files of two samples")

    def test_it_writes_below_the_folder_alone(self) -> None:
        """It writes nothing outside the folder."""
        with tempfile.TemporaryDirectory() as name, writes_only_below(Path(name)):
            self.component.export(_cohort(), Path(name), overwrite=False)

    def test_it_overwrites_nothing_unasked(self) -> None:
        """Existing files are an OutputExistsError and stay as they are, unless overwrite is set."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            files = self.component.export(_cohort(), folder, overwrite=False)
            for file in files:
                file.write_bytes(b"mine")
            try:
                self.component.export(_cohort(), folder, overwrite=False)
            except OutputExistsError:
                pass
            else:
                expect(False, "it wrote over existing files without being asked")
            expect(all(one.read_bytes() == b"mine" for one in files), "it changed a file")
            self.component.export(_cohort(), folder, overwrite=True)
            expect(all(one.read_bytes() != b"mine" for one in files), "overwrite left old files")

    def test_what_a_call_costs(self) -> None:
        """Exporting two samples of 40 x 32 x 32 voxels takes the time and memory stated."""
        with tempfile.TemporaryDirectory() as name:
            self.found(
                cost_in_words(lambda: self.component.export(_cohort(), Path(name), overwrite=True))
            )


def _cohort() -> MemoryCohort:
    return MemoryCohort(make_people(2))
