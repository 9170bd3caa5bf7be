import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from qctkit.phantoms.table import PHANTOMS

WORKED = ("--phantom", "mindways-model-3", "--rods-hu", "462.94;345.74;176.71;-35.38;-69.55")
PAGE = Path(__file__).parents[2] / "docs" / "calibration.md"


def test_the_worked_example_is_printed(qctkit: Callable[..., Any]) -> None:
    ended = qctkit("calibrate", *WORKED)
    assert ended.code == 0
    assert "0.8003 HU + 8.12 mg/cm3 K2HPO4, Mindways Model 3 rods, r 0.99985" in ended.out
    assert "residual of the 5 rods: 2.74 mg/cm3" in ended.out


def test_the_examples_of_the_page_print_what_it_says(qctkit: Callable[..., Any]) -> None:
    text = PAGE.read_text(encoding="utf-8").replace("\\\n", " ")
    examples = re.findall(r"    \$ qctkit (calibrate [^\n]+)\n((?:    [^$\n][^\n]*\n)+)", text)
    assert len(examples) >= 3
    for command, printed in examples:
        ended = qctkit(*command.replace('"', "").split())
        assert ended.code == 0
        assert ended.out == re.sub("^    ", "", printed, flags=re.M)


def test_json_holds_all_that_is_on_record(qctkit: Callable[..., Any]) -> None:
    found = json.loads(qctkit("calibrate", *WORKED, "--tube-voltage-kvp", "120", "--json").out)
    assert found["slope_mg_cm3_per_hu"] == pytest.approx(0.8003, abs=5e-5)
    assert (found["rods"], found["material"], found["tube_voltage_kvp"]) == (5, "K2HPO4", 120)
    assert found["converted_by"] is None


def test_a_line_is_converted_with_its_uncertainty(qctkit: Callable[..., Any]) -> None:
    line = ("--calibration", "0.8003", "-8.12", "K2HPO4", "--convert-material", "HA")
    ended = qctkit("calibrate", *line, "--tube-voltage-kvp", "140")
    assert "0.9880 HU - 10.02 mg/cm3 HA" in ended.out
    assert "0.810 ± 0.025" in ended.out
    assert "0.900 as given" in qctkit("calibrate", *line, "--k2hpo4-over-ha", "0.9").out


def test_tissues_give_a_line_that_calls_itself_approximate(qctkit: Callable[..., Any]) -> None:
    ended = qctkit("calibrate", "--tissues-hu", "-998;-104;52")
    assert ended.code == 0
    assert "approximate: no phantom was scanned" in ended.out


@pytest.fixture
def scanned_rods(tmp_path: Path) -> tuple[Path, Path]:
    """A scan of the Siemens phantom in plastic of 0 HU, and the mask of its rods."""
    labels = np.zeros((20, 40, 8), dtype=np.int16)  # (x, y, z)
    labels[4:16, 4:16], labels[4:16, 24:36] = 1, 2
    noise = np.random.default_rng(0).normal(0, 8, labels.shape)
    hu = np.rint(np.select([labels == 2], [250.0], 0.0) + noise).astype(np.int16)
    for name, array in (("scan", hu), ("rods", labels)):
        image = nibabel.Nifti1Image(array, np.diag((-1.0, -1.0, 2.5, 1.0)))
        nibabel.save(image, tmp_path / f"{name}.nii.gz")
    return tmp_path / "scan.nii.gz", tmp_path / "rods.nii.gz"


def test_a_mask_of_rods_is_read_in_the_scan(
    qctkit: Callable[..., Any], scanned_rods: tuple[Path, Path]
) -> None:
    scan, rods = scanned_rods
    command = ("calibrate", "--phantom", "siemens-osteo", "--scan", scan, "--rods-mask", rods)
    ended = qctkit(*command)
    assert ended.code == 0
    assert "± 0.3 HU over 800 voxels, without its edge" in ended.out
    found = json.loads(qctkit(*command, "--json").out)
    assert found["slope_mg_cm3_per_hu"] == pytest.approx(0.8, rel=0.01)
    assert [rod["name"] for rod in found["rods_read"]] == ["A", "B"]


def test_a_mask_that_is_no_mask_of_rods_is_refused(
    refused: Callable[..., str], scanned_rods: tuple[Path, Path]
) -> None:
    scan, rods = scanned_rods
    command = ("calibrate", "--scan", scan, "--rods-mask", rods)
    assert "has 3 rods" in refused(*command, "--phantom", "qrm-bdc-3")
    assert "without the name of their phantom" in refused(*command)
    assert "no such mask" in refused("calibrate", "--scan", scan, "--phantom", "siemens-osteo",
                                     "--rods-mask", "nowhere.nii.gz")  # fmt: skip
    assert "needs the scan" in refused("calibrate", *command[3:], "--phantom", "siemens-osteo")


def test_a_scan_alone_is_calibrated_by_its_own_tissues(
    qctkit: Callable[..., Any], refused: Callable[..., str], nifti: Path,
    scanned_rods: tuple[Path, Path],
) -> None:  # fmt: skip
    ended = qctkit("calibrate", "--scan", nifti / "sim-0000.nii.gz")
    assert ended.code == 0
    assert "approximate: no phantom was scanned" in ended.out
    assert "no peak of air" in refused("calibrate", "--scan", scanned_rods[0])


def test_two_rods_are_said_to_leave_nothing_to_judge(qctkit: Callable[..., Any]) -> None:
    ended = qctkit("calibrate", "--phantom", "siemens-osteo", "--rods-hu", "0;250")
    assert "nothing to judge the line by" in ended.out
    assert "residual" not in ended.out


def test_every_phantom_is_listed_with_its_rods(qctkit: Callable[..., Any]) -> None:
    listed = qctkit("calibrate", "--list").out
    assert all(one.name in listed and one.rods_in_words in listed for one in PHANTOMS)
    as_json = json.loads(qctkit("calibrate", "--list", "--json").out)
    assert [one["name"] for one in as_json] == [one.name for one in PHANTOMS]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "nothing to calibrate by"),
        (("--phantom", "mindways", "--rods-hu", "1;2"), "did you mean mindways-model-3"),
        (("--phantom", "siemens-osteo", "--rods-hu", "250;0"), "may be in another order"),
        (("--phantom", "siemens-osteo", "--rods-hu", "250"), "has 2 rods, 1 values were given"),
        (("--calibration", "0.8", "8", "HA", "--convert-material", "K2HPO4"), "tube_voltage_kvp"),
        ((*WORKED, "--tube-voltage-kvp", "70", "--convert-material", "HA"), "80 to 140 kVp only"),
        ((*WORKED, "--tissues-hu", "-998;-104;52"), "has one calibration"),
    ],
)
def test_bad_input_is_refused(
    refused: Callable[..., str], arguments: tuple[str, ...], complaint: str
) -> None:
    assert complaint in refused("calibrate", *arguments)
