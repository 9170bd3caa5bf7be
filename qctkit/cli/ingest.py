"""``qctkit ingest``."""

from pathlib import Path

import click

from qctkit.cli.chosen import chosen_registry
from qctkit.cli.counted import counted
from qctkit.cli.options import (
    convert_material_option,
    k2hpo4_over_ha_option,
    output_option,
    overwrite_option,
    resume_option,
    workers_option,
)
from qctkit.cli.shown import shown_progress


@click.command(name="ingest")
@click.argument("sources", nargs=-1, type=click.Path(path_type=Path), metavar="[SOURCE]...")
@click.option(
    "--table",
    type=click.Path(path_type=Path),
    help="CSV of subjects: subject_id,path,sex,age_years,weight_kg[,mask]; paths are relative to "
    "the table, empty cells are taken from the scan's header where it has them. All columns: "
    "docs/inputs.md.",
)
@output_option("Cohort file to write.")
@click.option(
    "--side",
    type=click.Choice(["left", "right", "both"]),
    help="Where both hips are in view, crop these femora, each to its own sample. Without it, and "
    "where one hip is in view, nothing is cropped.",
)
@click.option(
    "--mirror-to",
    type=click.Choice(["left", "right"]),
    help="Mirror femora of the other side, so that all are of this one.",
)
@click.option(
    "--calibration",
    type=(str, str, str),
    metavar="SLOPE INTERCEPT MATERIAL",
    help="Line from HU to mg/cm3 for all scans that the table does not calibrate, e.g. 0.8003 8.12 "
    "K2HPO4.",
)
@click.option(
    "--phantom",
    help="Phantom of the rods in the table's columns rods_hu or rods_mask; `qctkit calibrate "
    "--list` lists them.",
)
@click.option(
    "--internal-calibration",
    is_flag=True,
    help="Calibrate by the air, fat and muscle in each scan that the table does not calibrate: "
    "approximate, and marked so.",
)
@convert_material_option
@k2hpo4_over_ha_option
@click.option(
    "--key-file",
    type=click.Path(path_type=Path),
    help="File with a secret key: subjects get ids hashed from the patient ids, the same in every "
    "run with this key. Keep it apart from the cohort.",
)
@click.option(
    "--skip-refused",
    is_flag=True,
    help="Leave out scans that cannot be used and say why, instead of refusing them all; ends "
    "with code 1.",
)
@workers_option
@resume_option
@overwrite_option
def command(
    sources: tuple[Path, ...],
    table: Path | None,
    output: Path,
    side: str | None,
    mirror_to: str | None,
    calibration: tuple[str, str, str] | None,
    phantom: str | None,
    internal_calibration: bool,
    convert_material: str | None,
    k2hpo4_over_ha: float | None,
    key_file: Path | None,
    skip_refused: bool,
    workers: int | None,
    resume: bool,
    overwrite: bool,
) -> int:
    """Turn scans into a cohort.

    A SOURCE is a DICOM folder or zip, however deep and mixed; a NIfTI, NRRD, MetaImage or NumPy
    file; a folder of those; an existing cohort, or a folder that `qctkit convert` wrote. DICOM
    files are sorted into series and patients by their headers.

    A femur mask given in the table is used; otherwise a classical segmentation finds the femur and
    marks its mask as approximate. Names, dates and identifiers of a header are never kept.

    \b
    Examples:
        qctkit ingest --table subjects.csv -o real.h5
        qctkit ingest delivery/ --key-file ~/qct.key -o real.h5
        qctkit ingest pelvis.zip --side both --mirror-to left -o hips.h5
    """
    from qctkit.cohort import Side
    from qctkit.phantoms.choice import CalibrationChoice, parse_line
    from qctkit.phantoms.tissues import DEFAULT_REFERENCE
    from qctkit.pipeline.ingest import IngestOptions, ingest
    from qctkit.pipeline.ingest_scan import ScanOptions, SideChoice
    from qctkit.pipeline.pseudonyms import read_key
    from qctkit.processes import usual_workers
    from qctkit.store.writer import refuse_existing_output
    from qctkit.units import Material

    refuse_existing_output(output, overwrite=overwrite, resume=resume)
    line = parse_line(*calibration) if calibration else None
    reference = DEFAULT_REFERENCE if internal_calibration else None
    scans = ScanOptions(
        side=SideChoice(side) if side else None,
        mirror_to=Side(mirror_to) if mirror_to else None,
        convert_to=Material(convert_material) if convert_material else None,
        k2hpo4_over_ha=k2hpo4_over_ha,
    )
    options = IngestOptions(
        sources=sources,
        table=table,
        key=None if key_file is None else read_key(key_file),
        calibration=CalibrationChoice(line=line, reference=reference),
        phantom=phantom,
        scans=scans,
        skip_refused=skip_refused,
    )
    try:
        done = ingest(
            options, output, chosen_registry().readers(), shown_progress(),
            workers=workers or usual_workers(), overwrite=overwrite, resume=resume,
        )  # fmt: skip
    except KeyboardInterrupt:
        click.echo("Finished scans are kept; go on with the same command and --resume", err=True)
        raise
    for refusal in done.refusals:
        click.echo(f"left out: {refusal}", err=True)
    cohort = done.cohort
    subjects = {cohort.subject(sample_id).subject_id for sample_id in cohort.sample_ids}
    whose = f"{counted(len(cohort), 'sample')} of {counted(len(subjects), 'subject')}"
    click.echo(f"{whose} in {output}; {done.scale}")
    return 1 if done.refusals else 0
