"""``qctkit validate``."""

import json
from pathlib import Path

import click

from qctkit.cli.chosen import chosen_registry
from qctkit.cli.options import beside_option, cohort_argument, json_option
from qctkit.cli.shown import shown_progress


@click.command(name="validate")
@cohort_argument
@click.option("--against", type=click.Path(path_type=Path), required=True, help="The real cohort.")
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    help="Cohort whose densities samples are judged by, where they were made with --reference. "
    "Default: that of --against.",
)
@click.option(
    "--figures",
    is_flag=True,
    help="Also analyse density over both cohorts, and whether made samples can be told from real "
    "ones: minutes, since classifiers are trained.",
)
@beside_option
@json_option
def command(
    cohort: Path,
    against: Path,
    reference: Path | None,
    figures: bool,
    beside: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Judge every made sample again, from its voxels and its source's.

    With --figures it also says what the cohort looks like beside the real one: density before and
    after, its peak against age and weight, classifiers, distances, noise; with --beside what other
    recipes made of the same cohort too.

    Ends with code 1 when a sample fails.

    \b
    Examples:
        qctkit validate augmented.h5 --against real.h5
        qctkit validate augmented.h5 --against real.h5 --figures --json
        qctkit augment real.h5 --plugin voxel-baseline -n 16 -o baseline.h5
        qctkit validate augmented.h5 --against real.h5 --figures --beside baseline.h5
    """
    from qctkit.errors import InputError

    if beside and not figures:
        raise InputError("--beside is a column of the figures that --figures computes; add it")
    from qctkit.pipeline.analyse import analyse
    from qctkit.pipeline.beside import beside_by_name
    from qctkit.pipeline.validate import validate
    from qctkit.store.reader import CohortFile

    made, real = CohortFile(cohort), CohortFile(against)
    others = beside_by_name([CohortFile(one) for one in beside], made, real)
    shows = None if reference is None else CohortFile(reference)
    progress = shown_progress()
    found = validate(made, real, chosen_registry(), progress, reference=shows)
    analysis = analyse(made, real, progress, beside=others) if figures else None
    if as_json:
        extra = {} if analysis is None else {"analysis": analysis.record()}
        click.echo(json.dumps({**found.record(), **extra}, indent=1, sort_keys=True))
        return int(not found.passed)
    for check in found.checks:
        click.echo(f"{check.sample_id}: {'passed' if check.passed else 'FAILED'}")
        for verdict in check.verdicts:
            click.echo(
                f"  {verdict.validator}: {'pass' if verdict.passed else 'FAIL'}: {verdict.words}"
            )
    for name, value in found.figures.items():
        click.echo(f"{name}: {value:.4g}")
    for words in () if analysis is None else analysis.words:
        click.echo(words)
    return int(not found.passed)
