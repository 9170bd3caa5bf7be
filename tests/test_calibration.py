import numpy as np
import pytest

from qctkit.calibration import Calibration
from qctkit.errors import InputError
from qctkit.units import Material, Unit


def test_density_follows_the_line() -> None:
    line = Calibration(0.8, -5.0, Material.HA)
    density = line.density_mg_cm3(np.array([[0, 100, -100]], dtype=np.int16))
    np.testing.assert_allclose(density, [[-5.0, 75.0, -85.0]])
    assert density.dtype == np.float32


@pytest.mark.parametrize("slope", [0.0, -1.0, float("nan"), float("inf")])
def test_a_slope_that_is_not_positive_is_refused(slope: float) -> None:
    with pytest.raises(InputError, match="slope"):
        Calibration(slope, 0.0, Material.HA)


def test_an_intercept_that_is_not_finite_is_refused() -> None:
    with pytest.raises(InputError, match="intercept"):
        Calibration(1.0, float("nan"), Material.HA)


@pytest.mark.parametrize(
    ("material", "unit"),
    [(Material.HA, Unit.MG_CM3_HA), (Material.K2HPO4, Unit.MG_CM3_K2HPO4)],
)
def test_the_material_is_part_of_the_unit(material: Material, unit: Unit) -> None:
    assert Calibration(1.0, 0.0, material).unit is unit
    assert unit.is_calibrated
