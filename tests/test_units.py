import pytest

from qctkit.errors import InputError
from qctkit.units import K2HPO4_PER_HA_UNCERTAINTY, Material, Unit, k2hpo4_per_ha


@pytest.mark.parametrize(("kvp", "factor"), [(80, 0.86), (140, 0.81), (110, 0.835), (120, 0.8267)])
def test_the_factor_is_goodsitts_and_linear_between(kvp: float, factor: float) -> None:
    assert k2hpo4_per_ha(kvp) == pytest.approx(factor, abs=5e-5)


def test_the_uncertainty_is_half_the_spread() -> None:
    assert pytest.approx((k2hpo4_per_ha(80) - k2hpo4_per_ha(140)) / 2) == K2HPO4_PER_HA_UNCERTAINTY


@pytest.mark.parametrize("kvp", [70.0, 79.9, 150.0, float("nan")])
def test_voltages_that_were_not_measured_are_refused(kvp: float) -> None:
    with pytest.raises(InputError, match="from 80 to 140 kVp only"):
        k2hpo4_per_ha(kvp)


def test_an_unknown_voltage_is_refused_with_the_way_out() -> None:
    with pytest.raises(InputError, match="state tube_voltage_kvp, or the factor"):
        k2hpo4_per_ha(None)


@pytest.mark.parametrize("material", Material)
def test_the_unit_of_a_density_names_its_material(material: Material) -> None:
    unit = Unit.of_density(material)
    assert str(unit) == f"mg/cm3 {material}"
    assert unit.is_calibrated
    assert not Unit.HU.is_calibrated
