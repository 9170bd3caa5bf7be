"""``qctkit report``."""

from pathlib import Path

import click

from qctkit.cli.options import cohort_argument, output_option, overwrite_option
from qctkit.cli.shown import shown_progress


@click.command(name="report")
@cohort_argument
@click.option("--against", type=click.Path(path_type=Path), required=True, help="The real cohort.")
@output_option("Page to write; its data go beside it, as .csv and .json.", "report.html")
@overwrite_option
def command(cohort: Path, against: Path, output: Path, overwrite: bool) -> None:
    """Show made samples beside their sources: one page that people can trust.

    \b
    Example:
        qctkit report augmented.h5 --against real.h5 -o report.html
    """
    from qctkit.pipeline.report import write_report
    from qctkit.store.reader import CohortFile

    made, real = CohortFile(cohort), CohortFile(against)
    written = write_report(made, real, output, shown_progress(), overwrite=overwrite)
    click.echo(f"page:    {written.page}")
    click.echo(f"table:   {written.rows}")
    click.echo(f"figures: {written.record}")
