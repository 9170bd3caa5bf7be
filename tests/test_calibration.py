from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qctkit.calibration import (
    Calibration,
    CohortScale,
    one_material,
    scale_in_words,
    scale_label,
)
from qctkit.errors import InputError
from qctkit.units import Material, Unit, k2hpo4_per_ha


def test_density_follows_the_line() -> None:
    line = Calibration(0.8, -5.0, Material.HA)
    density = line.density_mg_cm3(np.array([[0, 100, -100]], dtype=np.int16))
    np.testing.assert_allclose(density, [[-5.0, 75.0, -85.0]])
    assert density.dtype == np.float32


@pytest.mark.parametrize("slope", [0.0, -0.8, 0.0008, 0.29, 2.01, float("nan"), float("inf")])
def test_a_slope_that_no_scanner_has_is_refused(slope: float) -> None:
    with pytest.raises(InputError, match=r"slope of .* impossible.*0\.3 to 2 is taken.*not g/cm3"):
        Calibration(slope, -9.0, Material.HA)


@pytest.mark.parametrize(("slope", "intercept"), [(8.12, 0.8003), (-9.0, 0.79), (0.0, 0.8)])
def test_a_slope_and_an_intercept_that_are_swapped_are_refused(
    slope: float, intercept: float
) -> None:
    with pytest.raises(InputError, match="are slope and intercept swapped"):
        Calibration(slope, intercept, Material.K2HPO4)


@pytest.mark.parametrize("slope", [0.3, 0.7, 0.8003, 1.0, 2.0])
def test_a_slope_that_a_scanner_can_have_is_taken(slope: float) -> None:
    assert Calibration(slope, 0.8, Material.HA).slope_mg_cm3_per_hu == slope


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


LINE = Calibration(0.8, 8.0, Material.K2HPO4, residual_mg_cm3=2.0, tube_voltage_kvp=120.0)


@pytest.mark.parametrize(
    "impossible",
    [
        {"residual_mg_cm3": -1.0},
        {"r": 1.1},
        {"tube_voltage_kvp": 0.0},
        {"converted_by": float("inf")},
    ],
)
def test_impossible_values_on_record_are_refused(impossible: dict[str, float]) -> None:
    with pytest.raises(InputError):
        Calibration(0.8, 8.0, Material.HA, **impossible)


def test_conversion_scales_the_line_by_goodsitts_factor() -> None:
    converted = LINE.converted_to(Material.HA)
    factor = 0.86 - 0.05 * 40 / 60
    assert converted.slope_mg_cm3_per_hu == pytest.approx(0.8 / factor)
    assert converted.intercept_mg_cm3 == pytest.approx(8.0 / factor)
    assert converted.residual_mg_cm3 == pytest.approx(2.0 / factor)
    assert converted.unit is Unit.MG_CM3_HA
    assert converted.converted_by == pytest.approx(factor)
    assert converted.converted_by_uncertainty == 0.025


def test_conversion_to_its_own_material_changes_nothing() -> None:
    assert LINE.converted_to(Material.K2HPO4) is LINE


@given(
    slope=st.floats(0.4, 2),
    intercept=st.floats(-100, 100),
    kvp=st.floats(80, 140),
    hu=st.integers(-200, 2000),
)
def test_densities_of_both_materials_differ_by_the_factor(
    slope: float, intercept: float, kvp: float, hu: int
) -> None:
    in_ha = Calibration(slope, intercept, Material.HA, tube_voltage_kvp=kvp)
    in_k2hpo4 = in_ha.converted_to(Material.K2HPO4)
    difference = in_k2hpo4.density_mg_cm3(np.array(hu)) - k2hpo4_per_ha(kvp) * in_ha.density_mg_cm3(
        np.array(hu)
    )
    assert abs(difference) < 0.01
    assert 0.81 - 1e-9 <= in_k2hpo4.slope_mg_cm3_per_hu / slope <= 0.86 + 1e-9


def test_a_factor_of_the_users_needs_no_voltage_and_has_no_uncertainty_of_ours() -> None:
    converted = Calibration(0.8, 8.0, Material.HA).converted_to(Material.K2HPO4, 0.9)
    assert converted.slope_mg_cm3_per_hu == pytest.approx(0.72)
    assert (converted.converted_by, converted.converted_by_uncertainty) == (0.9, None)


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan")])
def test_an_impossible_factor_is_refused(factor: float) -> None:
    with pytest.raises(InputError, match="factor"):
        LINE.converted_to(Material.HA, factor)


def test_conversion_without_a_voltage_is_refused() -> None:
    with pytest.raises(InputError, match="tube_voltage_kvp"):
        Calibration(0.8, 8.0, Material.HA).converted_to(Material.K2HPO4)


def test_a_converted_line_is_not_converted_again() -> None:
    with pytest.raises(InputError, match="was converted to HA before"):
        LINE.converted_to(Material.HA).converted_to(Material.K2HPO4)


def test_words_say_what_voxels_mean() -> None:
    rods = Calibration(
        0.80028, 8.12, Material.K2HPO4, "phantom rods", "Mindways Model 3", 5, 2.7, 0.99985, 120.0
    )
    rough = Calibration(0.79, -9.0, Material.HA, "air, fat and muscle", is_approximate=True)
    assert scale_in_words(Unit.HU, None) == "HU (uncalibrated)"
    assert scale_in_words(Unit.HU, rods) == (
        "HU (calibrated: 0.8003 HU + 8.12 mg/cm3 K2HPO4, Mindways Model 3 rods, r 0.99985)"
    )
    assert scale_in_words(Unit.HU, rough) == (
        "HU (approximately calibrated: 0.7900 HU - 9.00 mg/cm3 HA, air, fat and muscle)"
    )
    assert scale_in_words(Unit.MG_CM3_HA, None) == "mg/cm3 HA"
    assert rods.converted_to(Material.HA).in_words.endswith(
        "converted from K2HPO4 by a factor of 0.827 ± 0.025"
    )


def test_labels_are_the_words_without_the_line() -> None:
    rough = Calibration(0.79, -9.0, Material.HA, is_approximate=True)
    assert scale_label(Unit.HU, None) == "HU (uncalibrated)"
    assert scale_label(Unit.HU, LINE) == "HU (calibrated)"
    assert scale_label(Unit.HU, rough) == "HU (approximately calibrated)"


HA = Calibration(0.8, 0.0, Material.HA)


def in_hu(**lines: Calibration | None) -> CohortScale:
    """Return the scale of scans in HU with these lines."""
    return one_material({name: (Unit.HU, line) for name, line in lines.items()})


def test_a_cohort_of_one_material_stands() -> None:
    scale = in_hu(a=HA, b=HA)
    assert (scale.material, scale.has_density) == (Material.HA, True)
    assert scale.in_words == "HU (calibrated to mg/cm3 HA)"


def test_an_uncalibrated_cohort_says_so() -> None:
    scale = in_hu(a=None, b=None)
    assert (scale.material, scale.has_density) == (None, False)
    assert scale.in_words == "HU (uncalibrated)"
    assert one_material({}).in_words == "HU (uncalibrated)"


def test_mixed_materials_are_refused_with_the_way_out() -> None:
    with pytest.raises(InputError, match="a is calibrated to HA and c to K2HPO4") as caught:
        in_hu(a=HA, b=None, c=LINE)
    assert "--convert-material HA" in str(caught.value)
    assert in_hu(a=HA, c=LINE.converted_to(Material.HA)).has_density


def test_scans_without_a_line_leave_the_cohort_without_densities() -> None:
    scale = in_hu(a=HA, b=None, c=None)
    assert not scale.has_density
    assert "only 1 of 3 scans, so no density in mg/cm3 holds" in scale.in_words


def test_approximate_lines_are_counted() -> None:
    rough = replace(HA, is_approximate=True)
    assert in_hu(a=HA, b=rough).in_words == "HU (calibrated to mg/cm3 HA; 1 of 2 approximately)"
    assert in_hu(b=rough).in_words == "HU (approximately calibrated to mg/cm3 HA)"


@pytest.mark.parametrize("material", Material)
def test_voxels_that_are_a_density_count_as_calibrated(material: Material) -> None:
    unit = Unit.of_density(material)
    scale = one_material({"a": (unit, None), "b": (unit, None)})
    assert (scale.material, scale.has_density, scale.in_words) == (material, True, str(unit))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((Unit.HU, None), (Unit.MG_CM3_HA, None)),
        ((Unit.HU, HA), (Unit.MG_CM3_HA, None)),
        ((Unit.MG_CM3_HA, None), (Unit.MG_CM3_K2HPO4, None)),
    ],
)
def test_voxels_of_two_units_are_refused_with_the_way_out(
    one: tuple[Unit, Calibration | None], other: tuple[Unit, Calibration | None]
) -> None:
    with pytest.raises(InputError, match=f"of a are in {one[0]}, those of c in {other[0]}") as told:
        one_material({"a": one, "b": one, "c": other, "d": other})
    assert "make two cohorts" in str(told.value)
