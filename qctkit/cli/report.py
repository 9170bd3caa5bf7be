"""``qctkit report``."""

from pathlib import Path

import click

from qctkit.cli.options import (
    beside_option,
    cohort_argument,
    output_option,
    overwrite_option,
)
from qctkit.cli.shown import shown_progress


@click.command(name="report")
@cohort_argument
@click.option("--against", type=click.Path(path_type=Path), required=True, help="The real cohort.")
@output_option("Page to write; its data go beside it, as .csv and .json.", "report.html")
@click.option(
    "--analyse",
    is_flag=True,
    help="Also compute slopes, peaks and real-or-fake figures; trains networks, takes minutes.",
)
@beside_option
@click.option(
    "--figures",
    type=click.Path(path_type=Path),
    help="Take those figures from the JSON of an earlier report instead.",
)
@click.option(
    "--readings",
    type=click.Path(path_type=Path),
    help="Answers of `qctkit read-study`, whose result is added.",
)
@overwrite_option
def command(
    cohort: Path,
    against: Path,
    output: Path,
    analyse: bool,
    beside: tuple[Path, ...],
    figures: Path | None,
    readings: Path | None,
    overwrite: bool,
) -> None:
    """Show made samples beside their sources, with five verdicts on them: one page.

    The page needs no network and nothing beside it: thumbnails of all samples, slices of 24 (the
    worst, the best, some by chance) with source, sample and difference, what was asked and read,
    densities, and a methods paragraph to paste. docs/report.md says how to read it.

    --analyse gives every real-or-fake figure for real scans against real ones and for a random
    affine map with noise too; --beside adds what other recipes made, so that it can be placed.

    \b
    Examples:
        qctkit report augmented.h5 --against real.h5 -o report.html
        qctkit report augmented.h5 --against real.h5 --analyse
        qctkit report augmented.h5 --against real.h5 --figures report.json \\
            --readings augmented.readings.jsonl --overwrite
        qctkit augment real.h5 --plugin voxel-baseline -n 16 -o baseline.h5
        qctkit report augmented.h5 --against real.h5 --analyse --beside baseline.h5
    """
    from qctkit.errors import InputError
    from qctkit.pipeline.report import Additions, write_report
    from qctkit.store.reader import CohortFile

    if analyse and figures is not None:
        raise InputError("--analyse and --figures exclude one another; give one")
    if beside and not analyse:
        raise InputError("--beside is a column of the figures that --analyse computes; add it")
    made, real = CohortFile(cohort), CohortFile(against)
    others = tuple(map(CohortFile, beside))
    additions = Additions(analyse=analyse, figures=figures, readings=readings, beside=others)
    written = write_report(made, real, output, shown_progress(), additions, overwrite=overwrite)
    for one in written.verdicts:
        click.echo(f"{one.state.sign} {one.question} {one.state.word}: {one.figure}")
    click.echo(f"page:    {written.page}")
    click.echo(f"table:   {written.rows}")
    if written.figures is not None:
        click.echo(f"looks:   {written.figures}")
    click.echo(f"figures: {written.record}")
