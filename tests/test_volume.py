import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from qctkit.calibration import Calibration
from qctkit.errors import InputError
from qctkit.geometry import Geometry
from qctkit.units import Material, Unit
from qctkit.volume import Volume, compact

GRID = Geometry.from_spacing((2, 3, 4), (1.0, 1.0, 1.0))


@given(arrays.arrays(np.int32, (2, 2, 2), elements=st.integers(-40_000, 40_000)))
def test_whole_numbers_survive_whatever_dtype_is_chosen(values: np.ndarray) -> None:
    kept = compact(values)
    fits = values.min() >= -32768 and values.max() <= 32767
    assert kept.dtype == (np.int16 if fits else np.float32)
    np.testing.assert_array_equal(kept, values)


@given(arrays.arrays(np.float32, (2, 2, 2), elements=st.floats(-4e4, 4e4, width=32)))
def test_floats_survive_exactly(values: np.ndarray) -> None:
    np.testing.assert_array_equal(compact(values), values)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(32767, np.int16), (-32768, np.int16), (32768, np.float32), (0.5, np.float32)],
)
def test_int16_is_kept_only_when_exact(value: float, dtype: type) -> None:
    assert compact(np.full((1, 1, 1), value)).dtype == dtype


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_voxel_that_is_not_finite_is_refused_with_its_index(bad: float) -> None:
    voxels = np.zeros((2, 3, 4))
    voxels[1, 2, 3] = bad
    with pytest.raises(InputError, match=r"1 voxels.*\(1, 2, 3\)"):
        Volume(voxels, GRID)


def test_voxels_are_read_only_and_a_copy() -> None:
    mine = np.zeros((2, 3, 4), dtype=np.int16)
    volume = Volume(mine, GRID)
    mine[0, 0, 0] = 7
    assert volume.voxels[0, 0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        volume.voxels[0, 0, 0] = 1


def test_another_shape_than_the_geometry_is_refused() -> None:
    with pytest.raises(InputError, match="shape"):
        Volume(np.zeros((2, 3, 5)), GRID)


def test_other_voxels_keep_geometry_unit_and_calibration() -> None:
    line = Calibration(0.8, -5.0, Material.K2HPO4)
    volume = Volume(np.zeros((2, 3, 4)), GRID, Unit.HU, line).with_voxels(np.ones((2, 3, 4)))
    assert (volume.unit, volume.calibration, volume.geometry) == (Unit.HU, line, GRID)
    assert volume.is_calibrated
    assert (volume.voxels == 1).all()


def test_a_density_unit_is_calibrated_and_hu_alone_is_not() -> None:
    zeros = np.zeros((2, 3, 4))
    assert Volume(zeros, GRID, Unit.MG_CM3_HA).is_calibrated
    assert not Volume(zeros, GRID).is_calibrated


@pytest.mark.parametrize("unit", [Unit.MG_CM3_HA, Unit.MG_CM3_K2HPO4])
def test_a_line_from_hu_beside_voxels_that_are_a_density_is_refused(unit: Unit) -> None:
    with pytest.raises(InputError, match=f"in {unit} already.*leave the calibration out"):
        Volume(np.zeros((2, 3, 4)), GRID, unit, Calibration(0.8, -5.0, Material.HA))
