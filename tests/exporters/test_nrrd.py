import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from qctkit.cohort import MemoryCohort, Sample
from qctkit.exporters.nrrd import NrrdExporter
from qctkit.geometry import Geometry
from qctkit.units import Unit

Make = Callable[..., Sample]


def export(folder: Path, *samples: Sample) -> list[str]:
    files = NrrdExporter().export(MemoryCohort(samples), folder, overwrite=False)
    return [file.name for file in files]


def header(path: Path) -> str:
    return path.read_bytes().split(b"\n\n")[0].decode("ascii")


def test_a_made_sample_gives_volume_mask_region_and_tables(sample: Make, record, tmp_path: Path):
    assert export(tmp_path, sample(record=record)) == [
        "A.nrrd",
        "A_mask.nrrd",
        "A_region.nrrd",
        "A.json",
        "samples.csv",
        "refused.csv",
        "cohort.json",
    ]


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_voxels_are_stored_as_they_are_held(sample: Make, tmp_path: Path, dtype):
    voxels = np.linspace(-1000, 1500.5, 24).reshape(2, 3, 4).astype(dtype)
    export(tmp_path, sample(voxels=voxels))
    content = (tmp_path / "A.nrrd").read_bytes().split(b"\n\n", 1)[1]
    stored = np.frombuffer(gzip.decompress(content), dtype).reshape(2, 3, 4)
    assert np.array_equal(stored, voxels)


@pytest.mark.parametrize("unit", list(Unit))
def test_the_header_states_space_and_unit_and_no_time(sample: Make, tmp_path: Path, unit: Unit):
    export(tmp_path, sample(unit=unit))
    lines = header(tmp_path / "A.nrrd").splitlines()
    assert f"qctkit unit:={unit}" in lines
    assert "space: left-posterior-superior" in lines
    assert "space directions: (-0.5,0,0) (0,-0.69999999999999996,0) (0,0,2.5)" in lines
    assert "space origin: (-10,20,30)" in lines
    assert "20" not in header(tmp_path / "A_mask.nrrd").replace("(-10,20,30)", "")


def test_bytes_are_the_same_each_time(sample: Make, record, tmp_path: Path):
    names = export(tmp_path / "first", sample(record=record))
    export(tmp_path / "second", sample(record=record))
    for name in names:
        one, other = (tmp_path / folder / name for folder in ("first", "second"))
        assert one.read_bytes() == other.read_bytes()


def test_a_voxel_lies_where_it_lay(sample: Make, tmp_path: Path):
    c, s = np.cos(0.3), np.sin(0.3)
    affine = np.array([[0, s, -c, 0.1], [0, c, s, 0.2], [-2.5, 0, 0, 0.3], [0, 0, 0, 1]])
    export(tmp_path, sample(geometry=Geometry((2, 3, 4), affine)))
    image = SimpleITK.ReadImage(str(tmp_path / "A.nrrd"))
    x, y, z = image.TransformIndexToPhysicalPoint((3, 2, 1))
    np.testing.assert_allclose((-x, -y, z), (affine @ [1, 2, 3, 1])[:3], atol=1e-9)
    assert image.GetPixel(3, 2, 1) == 23
