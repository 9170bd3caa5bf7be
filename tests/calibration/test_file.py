"""What is known of a calibration is stored in the cohort file and read back equal."""

from dataclasses import replace
from pathlib import Path

import h5py
import pytest

from qctkit.calibration import Calibration
from qctkit.cohort import Sample
from qctkit.phantoms.rods import from_rods
from qctkit.phantoms.table import find_phantom
from qctkit.phantoms.tissues import Tissues, from_tissues
from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter
from qctkit.units import Material

RODS = from_rods(find_phantom("mindways-model-3"), (462.9, 345.7, 176.7, -35.4, -69.5), 120.0)


def stored(path: Path, sample: Sample, calibration: Calibration | None) -> CohortFile:
    with CohortWriter(path / "c.h5", {"command": "test"}) as writer:
        writer.add(0, replace(sample, volume=replace(sample.volume, calibration=calibration)))
    return CohortFile(path / "c.h5")


@pytest.mark.parametrize(
    "calibration",
    [
        None,
        Calibration(0.8, 8.0, Material.HA),
        RODS,
        RODS.converted_to(Material.HA),
        RODS.converted_to(Material.HA, 0.9),
        from_tissues(Tissues(-998.0, -104.0, 52.0)),
        from_rods(find_phantom("siemens-osteo"), (0.0, 250.0)),
    ],
    ids=["none", "stated", "rods", "converted", "own factor", "tissues", "two rods"],
)
def test_a_calibration_comes_back_equal(
    tmp_path: Path, sample: Sample, calibration: Calibration | None
) -> None:
    cohort = stored(tmp_path, sample, calibration)
    assert cohort.load("A").volume.calibration == calibration
    found = cohort.calibration("A")
    assert found == calibration
    assert repr(found) == repr(calibration)  # plain Python values, no NumPy scalars


def test_a_file_says_what_its_voxels_mean(tmp_path: Path, sample: Sample) -> None:
    stored(tmp_path, sample, RODS)
    with h5py.File(tmp_path / "c.h5") as file:
        attributes = dict(file["samples/A"].attrs)
    assert attributes["scale"].startswith("HU (calibrated: 0.8004 HU + 8.12 mg/cm3 K2HPO4")
    assert attributes["calibration_phantom"] == "Mindways Model 3"
    assert attributes["calibration_rods"] == 5


def test_an_uncalibrated_file_says_so(tmp_path: Path, sample: Sample) -> None:
    cohort = stored(tmp_path, sample, None)
    with h5py.File(tmp_path / "c.h5") as file:
        attributes = dict(file["samples/A"].attrs)
    assert attributes["scale"] == "HU (uncalibrated)"
    assert not any(name.startswith("calibration_") for name in attributes)
    assert cohort.summary("A")["scale"] == "HU (uncalibrated)"
