"""``qctkit ingest``."""

from pathlib import Path

import click

from qctkit.cli.options import output_option, overwrite_option
from qctkit.cli.shown import shown_progress


@click.command(name="ingest")
@click.argument("sources", nargs=-1, type=click.Path(path_type=Path), metavar="[SOURCE]...")
@click.option(
    "--table",
    type=click.Path(path_type=Path),
    help="CSV of subjects: subject_id,path,sex,age_years,weight_kg[,mask]; paths are relative to "
    "the table, empty cells are taken from the scan's header where it has them.",
)
@output_option("Cohort file to write.")
@click.option(
    "--side",
    type=click.Choice(["left", "right", "both"]),
    help="Crop these femora, each to its own sample. Without it nothing is cropped.",
)
@click.option(
    "--calibration",
    type=(float, float, click.Choice(["K2HPO4", "HA"])),
    metavar="SLOPE INTERCEPT MATERIAL",
    help="Line from HU to mg/cm3 that holds for all scans, e.g. 0.8003 8.12 K2HPO4.",
)
@overwrite_option
def command(
    sources: tuple[Path, ...],
    table: Path | None,
    output: Path,
    side: str | None,
    calibration: tuple[float, float, str] | None,
    overwrite: bool,
) -> None:
    """Turn scans into a cohort: DICOM folders or zips, and NIfTI files.

    A femur mask given in the table is used; otherwise a classical segmentation finds the femur and
    marks its mask as approximate. Names, dates and identifiers of a header are never kept.

    \b
    Examples:
        qctkit ingest --table subjects.csv -o real.h5
        qctkit ingest dicom/patient-1 dicom/patient-2 -o real.h5
        qctkit ingest pelvis.zip --side both -o hips.h5
    """
    from qctkit.calibration import Calibration
    from qctkit.pipeline.ingest import IngestOptions, SideChoice, ingest
    from qctkit.registry import load_registry
    from qctkit.units import Material

    line = None
    if calibration is not None:
        line = Calibration(calibration[0], calibration[1], Material(calibration[2]))
    options = IngestOptions(sources, table, SideChoice(side) if side else None, line)
    readers = load_registry().readers()
    cohort = ingest(options, output, readers, shown_progress(), overwrite=overwrite)
    click.echo(f"{len(cohort)} samples in {output}")
