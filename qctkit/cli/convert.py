"""``qctkit convert``."""

from pathlib import Path

import click

from qctkit.cli.chosen import chosen_registry
from qctkit.cli.counted import counted
from qctkit.cli.options import output_option, overwrite_option
from qctkit.cli.shown import shown_progress

COHORT = "cohort"


@click.command(name="convert")
@click.argument("cohort", type=click.Path(path_type=Path))
@output_option("Folder to write into; with --to cohort the file to write.")
@click.option(
    "--to",
    "target",
    default="nifti",
    show_default=True,
    help="nifti, nrrd, another exporter, or cohort for a cohort file.",
)
@overwrite_option
def command(cohort: Path, output: Path, target: str, overwrite: bool) -> None:
    """Write a cohort in another format, and back: COHORT is a file or an exported folder.

    NIfTI and NRRD: <sample_id>.nii.gz or .nrrd, _mask, _region (what the recipe may change), with
    samples.csv and refused.csv. JSON files beside them hold what images cannot, so that the
    samples come back equal; an image edited since, as a mask in a viewer, is taken as edited.

    \b
    Example:
        qctkit convert augmented.h5 -o out/ --to nrrd
        qctkit convert out/ -o edited.h5 --to cohort
    """
    from qctkit.pipeline.convert import open_cohort, write_cohort

    if target == COHORT:
        written = write_cohort(open_cohort(cohort), output, shown_progress(), overwrite=overwrite)
        click.echo(f"{counted(len(written), 'sample')} written")
        return
    exporter = chosen_registry().exporter(target)
    files = exporter.export(open_cohort(cohort), output, overwrite=overwrite)
    click.echo(f"{len(files)} files written")
