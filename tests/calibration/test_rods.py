from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qctkit.errors import InputError
from qctkit.phantoms.rods import from_rods
from qctkit.phantoms.table import PHANTOMS, Phantom, find_phantom
from qctkit.units import Material

MINDWAYS = find_phantom("mindways-model-3")
WORKED_HU = (462.93637565619906, 345.73809215407005, 176.71197512467555, -35.378190313384316,
             -69.54917011727602)  # fmt: skip
"""Rods E to A in Ogo's unit test, before they are rounded to a tenth."""

HA_PHANTOMS = [phantom for phantom in PHANTOMS if phantom.material is Material.HA]


def rods_hu(phantom: Phantom, slope: float, intercept: float) -> list[float]:
    """Mean HU of rods on a scanner where density = slope * HU + intercept."""
    if phantom.material is Material.HA:
        return [(rod.density_mg_cm3 - intercept) / slope for rod in phantom.rods]
    sigma, beta = 1 / slope + 0.2174, -intercept / slope - 999.6
    return [(rod.water_mg_cm3 or 0) + sigma * rod.density_mg_cm3 + beta for rod in phantom.rods]


def refusal(phantom: Phantom, hu: Sequence[float]) -> str:
    with pytest.raises(InputError) as caught:
        from_rods(phantom, hu)
    return str(caught.value)


def test_the_worked_example_comes_out_to_its_printed_digits() -> None:
    found = from_rods(MINDWAYS, WORKED_HU)
    assert found.slope_mg_cm3_per_hu == pytest.approx(0.8002826626918712, abs=1e-10)
    assert found.intercept_mg_cm3 == pytest.approx(8.122906532849933, abs=1e-8)
    assert found.r == pytest.approx(0.9998533422632067, abs=1e-12)
    assert found.line == "0.8003 HU + 8.12 mg/cm3 K2HPO4"


def test_rounded_to_a_tenth_of_a_hu_the_example_moves_by_one_in_ten_thousand() -> None:
    found = from_rods(MINDWAYS, (462.9, 345.7, 176.7, -35.4, -69.5))
    assert found.slope_mg_cm3_per_hu == pytest.approx(0.8003, abs=1e-4)
    assert found.intercept_mg_cm3 == pytest.approx(8.12, abs=5e-3)


def test_the_record_says_where_the_line_came_from() -> None:
    found = from_rods(MINDWAYS, WORKED_HU, 120.0)
    assert (found.phantom, found.rods, found.tube_voltage_kvp) == ("Mindways Model 3", 5, 120.0)
    assert found.origin == "phantom rods"
    assert not found.is_approximate


def test_the_residual_is_the_rods_own_in_mg_cm3() -> None:
    """A shift of one rod of an exact line by d HU leaves d * slope * sqrt(1 - h) / sqrt(n)."""
    phantom = find_phantom("b-mas-200")
    hu = rods_hu(phantom, 0.8, 0.0)
    hu[2] += 10.0  # the middle rod: leverage 1 / 5, so 4 / 5 of the shift is left
    found = from_rods(phantom, hu)
    assert found.residual_mg_cm3 == pytest.approx(8.0 * np.sqrt(0.8 / 5), rel=0.02)


@pytest.mark.parametrize("phantom", PHANTOMS, ids=lambda phantom: phantom.name)
def test_every_phantom_recovers_a_known_line(phantom: Phantom) -> None:
    found = from_rods(phantom, rods_hu(phantom, 0.85, -12.5))
    assert found.slope_mg_cm3_per_hu == pytest.approx(0.85, abs=1e-9)
    assert found.intercept_mg_cm3 == pytest.approx(-12.5, abs=1e-6)
    assert found.material is phantom.material
    if len(phantom.rods) > 2:
        assert found.residual_mg_cm3 == pytest.approx(0.0, abs=1e-6)
        assert found.r == pytest.approx(1.0)


@given(
    phantom=st.sampled_from(PHANTOMS), slope=st.floats(0.31, 1.99), intercept=st.floats(-200, 200)
)
def test_rods_invert_any_line(phantom: Phantom, slope: float, intercept: float) -> None:
    found = from_rods(phantom, rods_hu(phantom, slope, intercept))
    assert found.slope_mg_cm3_per_hu == pytest.approx(slope, rel=1e-6)
    assert found.intercept_mg_cm3 == pytest.approx(intercept, abs=1e-4)


@given(phantom=st.sampled_from(HA_PHANTOMS), shift=st.floats(-100, 100), seed=st.integers(0, 99))
def test_a_shift_of_all_hu_moves_the_intercept_alone(
    phantom: Phantom, shift: float, seed: int
) -> None:
    noise = np.random.default_rng(seed).normal(0, 1, len(phantom.rods))
    hu = np.array(rods_hu(phantom, 0.8, 5.0)) + noise
    one, other = from_rods(phantom, hu), from_rods(phantom, hu + shift)
    assert other.slope_mg_cm3_per_hu == pytest.approx(one.slope_mg_cm3_per_hu)
    moved = one.intercept_mg_cm3 - shift * one.slope_mg_cm3_per_hu
    assert other.intercept_mg_cm3 == pytest.approx(moved, abs=1e-6)


@pytest.mark.parametrize("slope", [0.1, 3.0])
def test_rods_of_a_slope_that_no_scanner_has_are_refused(slope: float) -> None:
    for phantom in PHANTOMS:
        with pytest.raises(InputError, match=f"slope {slope:g} mg/cm3 per HU.* What was fitted"):
            from_rods(phantom, rods_hu(phantom, slope, -5.0))


def test_two_rods_leave_no_residual_to_report() -> None:
    found = from_rods(find_phantom("siemens-osteo"), (0.0, 250.0))
    assert (found.residual_mg_cm3, found.r, found.rods) == (None, None, 2)


@pytest.mark.parametrize("phantom", PHANTOMS, ids=lambda phantom: phantom.name)
def test_rods_in_reverse_order_are_refused(phantom: Phantom) -> None:
    message = refusal(phantom, rods_hu(phantom, 0.8, 8.0)[::-1])
    assert "may be in another order" in message
    assert all(f"{rod.name} ({rod.density_mg_cm3:g} mg/cm3)" in message for rod in phantom.rods)


@pytest.mark.parametrize("swapped", [(0, 1), (1, 2), (2, 3), (0, 4)])
def test_two_exchanged_rods_are_refused(swapped: tuple[int, int]) -> None:
    hu = list(WORKED_HU)
    one, other = swapped
    hu[one], hu[other] = hu[other], hu[one]
    assert "correlation" in refusal(MINDWAYS, hu)


def test_a_wrong_number_of_rods_is_refused_with_their_order() -> None:
    message = refusal(MINDWAYS, WORKED_HU[:4])
    assert "has 5 rods, 4 values were given" in message
    assert "E (375.83 mg/cm3), D (157.05 mg/cm3)" in message


def test_a_value_that_is_not_finite_is_refused_by_its_rod() -> None:
    message = refusal(MINDWAYS, (*WORKED_HU[:4], float("nan")))
    assert "rod A of Mindways Model 3 is nan" in message


def test_rods_that_are_all_alike_are_refused() -> None:
    assert "a line needs two that differ" in refusal(find_phantom("b-mas-200"), [40.0] * 5)


@pytest.mark.parametrize("name", ["B-MAS 200", "b_mas_200", " b-mas-200 "])
def test_phantoms_are_found_however_they_are_spelled(name: str) -> None:
    assert find_phantom(name).name == "b-mas-200"


@pytest.mark.parametrize(
    ("name", "near"),
    [("mindway-model-3", "mindways-model-3"), ("qrm", "qrm-bdc-3"), ("siemens", "siemens-osteo")],
)
def test_a_near_miss_is_answered_with_the_name(name: str, near: str) -> None:
    with pytest.raises(InputError, match=f"did you mean {near}"):
        find_phantom(name)


def test_an_unknown_phantom_is_answered_with_all_names() -> None:
    with pytest.raises(InputError) as caught:
        find_phantom("xyz")
    assert all(phantom.name in str(caught.value) for phantom in PHANTOMS)


def test_names_are_unique_and_every_row_has_a_source() -> None:
    assert len({phantom.name for phantom in PHANTOMS}) == len(PHANTOMS)
    assert all("a7e74fcb" in phantom.source for phantom in PHANTOMS)
