from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qctkit.errors import ScanError
from qctkit.geometry import Geometry
from qctkit.readers.choose import find_scans
from qctkit.readers.numpy_file import NumpyReader, read_numpy
from qctkit.units import Unit

GRID = Geometry.from_spacing((4, 3, 2), (2.5, 0.7, 0.5), (-10.0, 20.0, 30.0))
VOXELS = np.arange(-12, 12, dtype=np.int16).reshape(4, 3, 2)


def write(folder: Path, **arrays) -> Path:
    path = folder / "scan.npz"
    said = {"voxels": VOXELS, "affine": GRID.affine} | arrays
    np.savez(path, **{name: array for name, array in said.items() if array is not None})
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ScanError) as caught:
        find_scans(path, [NumpyReader()])[0].load()
    return str(caught.value)


@settings(max_examples=25, deadline=None)
@given(voxels=arrays(np.float32, (4, 3, 2), elements=st.floats(-3000, 9e4, width=32)))
def test_voxels_and_affine_come_back(tmp_path_factory, voxels):
    voxels[0, 0, 0] = -1000
    volume = read_numpy(write(tmp_path_factory.mktemp("numpy"), voxels=voxels)).volume
    assert np.array_equal(volume.voxels, voxels)
    assert np.array_equal(volume.geometry.affine, GRID.affine)


@pytest.mark.parametrize("unit", list(Unit))
def test_a_stated_unit_is_kept(tmp_path: Path, unit: Unit):
    assert read_numpy(write(tmp_path, unit=np.array(unit.value))).volume.unit is unit


def test_no_unit_is_hu(tmp_path: Path):
    assert read_numpy(write(tmp_path)).volume.unit is Unit.HU


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"voxels": None}, "no array 'voxels'; save it as numpy.savez_compressed"),
        ({"voxels": None, "affine": None}, "no array 'voxels' and no array 'affine'"),
        ({"voxels": VOXELS[0]}, r"must be \(D, H, W\) numbers, got 3 x 2 of type int16"),
        ({"voxels": VOXELS.astype("U3")}, "must be .* of type <U3"),
        ({"voxels": VOXELS * 1j}, "must be .* of type complex"),
        ({"voxels": VOXELS.astype(object)}, "not a readable .npz file of plain arrays"),
        ({"voxels": VOXELS * np.nan}, "24 voxels are NaN"),
        ({"voxels": VOXELS * 1e300}, "not HU"),
        ({"voxels": VOXELS > 0}, "looks like a mask"),
        ({"affine": np.eye(3)}, "'affine' must be 4 x 4 numbers, got 3 x 3"),
        ({"affine": GRID.affine.T}, "last row of 'affine'"),
        ({"affine": GRID.affine * np.nan}, "last row of 'affine'"),
        ({"affine": np.diag([1, 1, 0, 1])}, "spacing must be positive"),
        ({"unit": np.array("g/l")}, "'unit' must be one of: HU, mg/cm3 K2HPO4, mg/cm3 HA"),
        ({"unit": np.array([1, 2])}, "'unit' must be one of"),
    ],
)
def test_wrong_arrays_are_refused(tmp_path: Path, arrays, words: str):
    with pytest.raises(ScanError, match=words):
        find_scans(write(tmp_path, **arrays), [NumpyReader()])[0].load()


def test_a_npy_file_is_claimed_and_refused_with_the_line_that_saves_it(tmp_path: Path):
    np.save(tmp_path / "scan.npy", VOXELS)
    words = refusal(tmp_path / "scan.npy")
    line = words[words.index("numpy.savez_compressed(") : words.index(", where")]
    names = {"numpy": np, "voxels": VOXELS, "affine": GRID.affine}
    exec(line.replace("scan.npz", str(tmp_path / "scan.npz")), names)
    assert np.array_equal(read_numpy(tmp_path / "scan.npz").volume.voxels, VOXELS)


def test_a_npy_file_under_the_name_of_a_npz_is_refused(tmp_path: Path):
    np.save(tmp_path / "scan.npy", VOXELS)
    (tmp_path / "scan.npy").rename(tmp_path / "scan.npz")
    assert "not a readable .npz file" in refusal(tmp_path / "scan.npz")
