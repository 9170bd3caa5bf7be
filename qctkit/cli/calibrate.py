"""``qctkit calibrate``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qctkit.cli.chosen import chosen_registry
from qctkit.cli.options import convert_material_option, json_option, k2hpo4_over_ha_option

if TYPE_CHECKING:
    from qctkit.calibration import Calibration
    from qctkit.phantoms.rods import RodReading
    from qctkit.volume import Volume


@click.command(name="calibrate")
@click.option("--list", "listed", is_flag=True, help="List the phantoms with their rods in order.")
@click.option("--phantom", help="Phantom whose rods are given; see --list.")
@click.option(
    "--rods-hu",
    metavar="HU;HU;...",
    help="Mean HU of the rods in the phantom's order, or by name: A=-69.5;B=-35.4;...",
)
@click.option(
    "--scan",
    type=click.Path(path_type=Path),
    help="Scan to calibrate: by --rods-mask, or by the air, fat and muscle in it (approximate).",
)
@click.option(
    "--rods-mask",
    type=click.Path(path_type=Path),
    help="NIfTI mask of the rods on the scan's grid, labelled 1, 2, ... in the phantom's order.",
)
@click.option(
    "--tissues-hu",
    metavar="AIR;FAT;MUSCLE",
    help="Mean HU of the patient's own tissues, for an approximate line without a phantom.",
)
@click.option(
    "--calibration",
    type=(str, str, str),
    metavar="SLOPE INTERCEPT MATERIAL",
    help="A line that is known, to be converted.",
)
@click.option("--tube-voltage-kvp", metavar="KVP", help="Tube voltage of the scan.")
@convert_material_option
@k2hpo4_over_ha_option
@json_option
def command(
    listed: bool,
    scan: Path | None,
    rods_mask: Path | None,
    convert_material: str | None,
    k2hpo4_over_ha: float | None,
    as_json: bool,
    **stated: str | tuple[str, str, str] | None,
) -> None:
    """Turn rods of a phantom into the line from HU to mg/cm3, and show how well it fits.

    \b
    Examples:
        qctkit calibrate --list
        qctkit calibrate --phantom mindways-model-3 --rods-hu "462.94;345.74;176.71;-35.38;-69.55"
        qctkit calibrate --phantom qrm-bdc-3 --scan dicom/patient-1 --rods-mask rods.nii.gz
        qctkit calibrate --calibration 0.8003 8.12 K2HPO4 --tube-voltage-kvp 120 \\
            --convert-material HA
    """
    from dataclasses import replace

    from qctkit.errors import InputError
    from qctkit.phantoms.choice import parse_choice
    from qctkit.phantoms.tissues import DEFAULT_REFERENCE
    from qctkit.pipeline.calibrate import calibrate, rods_in_mask
    from qctkit.units import Material

    if listed:
        _list_phantoms(as_json)
        return
    choice = parse_choice(_cells(stated, rods_mask))
    if scan is not None and not choice.is_made:
        choice = replace(choice, reference=DEFAULT_REFERENCE)
    volume = _volume(scan)
    line = calibrate(
        choice,
        volume,
        rods_mask=rods_mask,
        convert_to=Material(convert_material) if convert_material else None,
        k2hpo4_over_ha=k2hpo4_over_ha,
    )
    if line is None:
        raise InputError(
            "nothing to calibrate by: give --phantom with --rods-hu or --rods-mask, --tissues-hu, "
            "--calibration, or a --scan for its own air, fat and muscle"
        )
    _show(line, rods_in_mask(choice, volume, rods_mask), as_json)


def _cells(
    stated: dict[str, str | tuple[str, str, str] | None], rods_mask: Path | None
) -> dict[str, str]:
    """Return the options as the cells that a table would hold."""
    from qctkit.phantoms.choice import LINE_COLUMNS

    cells = {name: text for name, text in stated.items() if isinstance(text, str)}
    line = stated["calibration"]
    if isinstance(line, tuple):
        cells |= dict(zip(LINE_COLUMNS, line, strict=True))
    if rods_mask is not None:
        cells["rods_mask"] = str(rods_mask)
    return cells


def _volume(scan: Path | None) -> "Volume | None":
    from qctkit.readers.choose import load_one

    return None if scan is None else load_one(scan, chosen_registry().readers()).volume


def _show(line: "Calibration", rods: "tuple[RodReading, ...]", as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        found = {"line": line.line, **asdict(line), "rods_read": [asdict(rod) for rod in rods]}
        click.echo(json.dumps(found, indent=1, sort_keys=True))
        return
    for rod in rods:
        click.echo(
            f"rod {rod.name}: {rod.mean_hu:.1f} ± {rod.standard_error_hu:.1f} HU over {rod.voxels} "
            f"voxels{', without its edge' if rod.eroded else ''}"
        )
    click.echo(f"density = {line.in_words}")
    if line.residual_mg_cm3 is not None:
        points = f"{line.rods} rods" if line.rods else "3 tissues"
        click.echo(f"residual of the {points}: {line.residual_mg_cm3:.2f} mg/cm3 (RMS)")
    if line.rods == 2:
        click.echo("two rods leave nothing to judge the line by")
    if line.is_approximate:
        click.echo("approximate: no phantom was scanned; see docs/calibration.md for its limits")


def _list_phantoms(as_json: bool) -> None:
    from dataclasses import asdict

    from qctkit.phantoms.table import PHANTOMS

    if as_json:
        click.echo(json.dumps([asdict(phantom) for phantom in PHANTOMS], indent=1))
        return
    for phantom in PHANTOMS:
        click.echo(f"{phantom.name:<28}{phantom.title}, {phantom.material}")
        click.echo(f"{'':<28}rods in order: {phantom.rods_in_words}")
        click.echo(f"{'':<28}{phantom.source}")
