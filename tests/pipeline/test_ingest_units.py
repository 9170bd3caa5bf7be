"""A cohort of scans holds voxels of one unit."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from qctkit.cohort import Sample
from qctkit.errors import InputError
from qctkit.pipeline.ingest import IngestOptions, ingest
from qctkit.progress import Silent
from qctkit.readers.cohort import CohortReader
from qctkit.store.writer import CohortWriter
from qctkit.units import Unit

Write = Callable[[str, Unit], Path]


@pytest.fixture
def write(tmp_path: Path, make: Callable[..., Sample]) -> Write:
    def written(name: str, unit: Unit) -> Path:
        sample = make(name)
        with CohortWriter(tmp_path / f"{name}.h5", {"command": "test"}) as writer:
            writer.add(0, replace(sample, volume=replace(sample.volume, unit=unit)))
        return tmp_path / f"{name}.h5"

    return written


@pytest.mark.parametrize("other", [Unit.HU, Unit.MG_CM3_K2HPO4])
def test_scans_of_two_units_are_refused(tmp_path: Path, write: Write, other: Unit) -> None:
    sources = (write("A", Unit.MG_CM3_HA), write("B", other))
    with pytest.raises(InputError, match=f"those of .* in {other}.*make two cohorts"):
        ingest(IngestOptions(sources), tmp_path / "out.h5", [CohortReader()], Silent())
    assert not (tmp_path / "out.h5").exists()


def test_scans_in_mg_cm3_keep_their_scale(tmp_path: Path, write: Write) -> None:
    sources = (write("A", Unit.MG_CM3_HA), write("B", Unit.MG_CM3_HA))
    done = ingest(IngestOptions(sources), tmp_path / "out.h5", [CohortReader()], Silent())
    assert done.scale == "mg/cm3 HA"
