"""``qctkit calibrate``."""

import json
from typing import TYPE_CHECKING

import click

from qctkit.cli.options import json_option

if TYPE_CHECKING:
    from qctkit.calibration import Calibration


@click.command(name="calibrate")
@click.option("--list", "listed", is_flag=True, help="List the phantoms with their rods in order.")
@click.option("--phantom", help="Phantom whose rods are given; see --list.")
@click.option(
    "--rods-hu",
    metavar="HU;HU;...",
    help="Mean HU of the rods in the phantom's order, or by name: A=-69.5;B=-35.4;...",
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
@click.option(
    "--convert-material",
    type=click.Choice(["HA", "K2HPO4"]),
    help="Reference material to convert the line to, by the factor of Goodsitt 1992.",
)
@click.option(
    "--k2hpo4-over-ha",
    type=float,
    metavar="FACTOR",
    help="Convert by this factor instead, e.g. where the tube voltage is not known.",
)
@json_option
def command(
    listed: bool,
    phantom: str | None,
    rods_hu: str | None,
    tissues_hu: str | None,
    calibration: tuple[str, str, str] | None,
    tube_voltage_kvp: str | None,
    convert_material: str | None,
    k2hpo4_over_ha: float | None,
    as_json: bool,
) -> None:
    """Turn rods of a phantom into the line from HU to mg/cm3, and show how well it fits.

    \b
    Examples:
        qctkit calibrate --list
        qctkit calibrate --phantom mindways-model-3 --rods-hu "462.94;345.74;176.71;-35.38;-69.55"
        qctkit calibrate --calibration 0.8003 8.12 K2HPO4 --tube-voltage-kvp 120 \\
            --convert-material HA
    """
    from qctkit.units import Material

    if listed:
        _list_phantoms(as_json)
        return
    line = _calibration(phantom, rods_hu, tissues_hu, calibration, tube_voltage_kvp)
    if convert_material is not None:
        line = line.converted_to(Material(convert_material), k2hpo4_over_ha)
    _show(line, as_json)


def _calibration(
    phantom: str | None,
    rods_hu: str | None,
    tissues_hu: str | None,
    calibration: tuple[str, str, str] | None,
    tube_voltage_kvp: str | None,
) -> "Calibration":
    from qctkit.errors import InputError
    from qctkit.phantoms.choice import LINE_COLUMNS, parse_choice

    cells = {
        "phantom": phantom,
        "rods_hu": rods_hu,
        "tissues_hu": tissues_hu,
        "tube_voltage_kvp": tube_voltage_kvp,
        **dict(zip(LINE_COLUMNS, calibration or (), strict=False)),
    }
    choice = parse_choice({name: text for name, text in cells.items() if text is not None})
    found = choice.calibration()
    if found is None:
        raise InputError(
            "nothing to calibrate by: give --phantom with --rods-hu, --tissues-hu or --calibration"
        )
    return found


def _show(line: "Calibration", as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        click.echo(json.dumps({"line": line.line, **asdict(line)}, indent=1, sort_keys=True))
        return
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
