"""``qctkit convert``."""

from pathlib import Path

import click

from qctkit.cli.options import cohort_argument, output_option, overwrite_option


@click.command(name="convert")
@cohort_argument
@output_option("Folder to write into.")
@click.option("--to", "target", default="nifti", show_default=True, help="Exporter to use.")
@overwrite_option
def command(cohort: Path, output: Path, target: str, overwrite: bool) -> None:
    """Write a cohort in another format, geometry and unit intact.

    NIfTI: <sample_id>.nii.gz, _mask, _region (what the recipe may change), samples.csv and
    refused.csv.

    \b
    Example:
        qctkit convert augmented.h5 -o out/ --to nifti
    """
    from qctkit.registry import load_registry
    from qctkit.store.reader import CohortFile

    exporter = load_registry().exporter(target)
    files = exporter.export(CohortFile(cohort), output, overwrite=overwrite)
    click.echo(f"{len(files)} files in {output}")
