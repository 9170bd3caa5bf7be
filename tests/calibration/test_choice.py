from dataclasses import replace

import numpy as np
import pytest

from qctkit.calibration import Calibration
from qctkit.errors import InputError
from qctkit.geometry import Geometry
from qctkit.phantoms.choice import (
    CalibrationChoice,
    parse_choice,
    parse_line,
    parse_material,
    parse_rods_hu,
    parse_tube_voltage_kvp,
)
from qctkit.phantoms.rods import from_rods
from qctkit.phantoms.table import find_phantom
from qctkit.phantoms.tissues import DEFAULT_REFERENCE, Tissues, from_tissues
from qctkit.units import Material
from qctkit.volume import Volume

MINDWAYS = find_phantom("mindways-model-3")
RODS = "462.9;345.7;176.7;-35.4;-69.5"
RODS_HU = (462.9, 345.7, 176.7, -35.4, -69.5)
LINE = {"calibration_slope": "0.8", "calibration_intercept": "-5", "calibration_material": "HA"}


def refusal(cells: dict[str, str], phantom: str | None = None) -> str:
    with pytest.raises(InputError) as caught:
        parse_choice(cells, phantom)
    return str(caught.value)


def test_a_line_is_read_as_it_is_written() -> None:
    assert parse_line("0.8003", "8.12", "K2HPO4") == Calibration(0.8003, 8.12, Material.K2HPO4)


@pytest.mark.parametrize(
    ("texts", "complaint"),
    [
        (("0,8003", "8.12", "HA"), "slope: '0,8003' is not a number"),
        (("0.8", "nan", "HA"), "intercept: 'nan'"),
        (("0.8", "8", "K2PO4"), "did you mean K2HPO4"),
        (("-0.8", "8", "HA"), "slope of -0.8 mg/cm3 per HU is impossible"),
    ],
)
def test_a_line_that_cannot_be_read_is_refused(texts: tuple[str, str, str], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        parse_line(*texts)


@pytest.mark.parametrize("name", ["K2HPO4", "k2hpo4", "dipotassium phosphate"])
def test_every_name_of_a_material_may_stand_in_a_cell(name: str) -> None:
    line = parse_choice({**LINE, "calibration_material": name}).calibration()
    assert line == Calibration(0.8, -5.0, Material.K2HPO4)


@pytest.mark.parametrize("text", ["HA", "ha", " Hydroxyapatite "])
def test_materials_are_read_in_any_case(text: str) -> None:
    assert parse_material(text) is Material.HA


def test_rods_are_read_in_the_phantoms_order() -> None:
    assert parse_rods_hu(RODS, MINDWAYS) == RODS_HU
    assert parse_rods_hu(" 462.9 ; 345.7;176.7;-35.4;-69.5; ", MINDWAYS) == RODS_HU


def test_rods_with_their_names_may_come_in_any_order() -> None:
    named = "A=-69.5; B=-35.4; c=176.7; D=345.7; E=462.9"
    assert parse_rods_hu(named, MINDWAYS) == RODS_HU


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("462.9,345.7,176.7", "separated by semicolons"),
        ("462.9;x;176.7", "rod 2: 'x' is not a number"),
        ("A=1;B=2;C=3;D=4", "the rods of Mindways Model 3 are E, D, C, B, A"),
        ("A=1;A=2;C=3;D=4;E=5", "each to be given once"),
        ("A=1;B=2;C=3;D=4;5", "each to be given once"),
        ("", "rod 1: '' is not a number"),
    ],
)
def test_rods_that_cannot_be_read_are_refused(text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        parse_rods_hu(text, MINDWAYS)


@pytest.mark.parametrize("text", ["120000", "12", "high", "nan"])
def test_an_impossible_tube_voltage_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="tube voltage"):
        parse_tube_voltage_kvp(text)


def test_empty_cells_choose_nothing() -> None:
    choice = parse_choice({"phantom": "", "rods_hu": " ", "tube_voltage_kvp": "120"})
    assert not choice.is_made
    assert choice.calibration() is None


def test_a_stated_line_takes_the_voltage_of_the_scan() -> None:
    assert parse_choice(LINE).calibration(scanned_kvp=100.0) == Calibration(
        0.8, -5.0, Material.HA, tube_voltage_kvp=100.0
    )


def test_a_stated_voltage_comes_before_the_headers() -> None:
    stated = parse_choice({**LINE, "tube_voltage_kvp": "120"})
    found = stated.calibration(scanned_kvp=100.0)
    assert found is not None
    assert found.tube_voltage_kvp == 120.0


def test_rods_give_what_from_rods_gives() -> None:
    choice = parse_choice({"phantom": "Mindways Model 3", "rods_hu": RODS})
    assert choice.calibration() == from_rods(MINDWAYS, RODS_HU)


def test_the_option_names_the_phantom_of_rows_that_name_none() -> None:
    assert parse_choice({"rods_hu": RODS}, "mindways-model-3").phantom == MINDWAYS
    own = parse_choice({"rods_hu": "0;250", "phantom": "siemens-osteo"}, "mindways-model-3")
    assert own.phantom == find_phantom("siemens-osteo")
    assert not parse_choice({}, "mindways-model-3").is_made


def test_a_row_that_states_nothing_takes_the_default_and_keeps_its_voltage() -> None:
    default = CalibrationChoice(reference=DEFAULT_REFERENCE)
    row = parse_choice({"tube_voltage_kvp": "120"}).or_else(default)
    assert row == replace(default, tube_voltage_kvp=120.0)
    stated = parse_choice(LINE)
    assert stated.or_else(default) is stated


def test_tissues_as_read_give_an_approximate_line() -> None:
    choice = parse_choice({"tissues_hu": "-998;-104;52"})
    assert choice.calibration() == from_tissues(Tissues(-998.0, -104.0, 52.0))


def test_a_mask_of_rods_is_read_from_the_scan() -> None:
    labels = np.repeat(np.arange(3), 40).reshape(3, 5, 8)
    hu = np.select([labels == 2], [250.0], 0.0) + np.indices(labels.shape).sum(axis=0) % 2
    volume = Volume(hu, Geometry.from_spacing((3, 5, 8), (1.0, 1.0, 1.0)))
    choice = parse_choice({"phantom": "siemens-osteo", "rods_mask": "rods.nii.gz"})
    found = choice.calibration(volume, labels)
    assert found is not None
    assert found.slope_mg_cm3_per_hu == pytest.approx(0.8, rel=0.01)
    with pytest.raises(InputError, match="was not read"):
        choice.calibration(volume)
    with pytest.raises(InputError, match="needs the scan"):
        choice.calibration()


@pytest.mark.parametrize(
    ("cells", "complaint"),
    [
        ({**LINE, "phantom": "siemens-osteo", "rods_hu": "0;1"}, "a stated line and rods_hu"),
        ({"calibration_slope": "0.8"}, "without calibration_intercept and calibration_material"),
        ({"rods_hu": RODS}, "without the name of the phantom"),
        ({"rods_mask": "rods.nii.gz"}, "without the name of their phantom"),
        ({"phantom": "siemens-osteo"}, "none of its rods is given"),
        ({"phantom": "simens-osteo", "rods_hu": "0;1"}, "did you mean siemens-osteo"),
        ({"tissues_hu": "-998;52"}, "air, fat and muscle"),
    ],
)
def test_half_a_choice_and_two_choices_are_refused(cells: dict[str, str], complaint: str) -> None:
    assert complaint in refusal(cells)
