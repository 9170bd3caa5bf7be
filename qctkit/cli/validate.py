"""``qctkit validate``."""

import json
from pathlib import Path

import click

from qctkit.cli.chosen import chosen_registry
from qctkit.cli.options import cohort_argument, json_option
from qctkit.cli.shown import shown_progress


@click.command(name="validate")
@cohort_argument
@click.option("--against", type=click.Path(path_type=Path), required=True, help="The real cohort.")
@json_option
def command(cohort: Path, against: Path, as_json: bool) -> int:
    """Judge every made sample again, from its voxels and its source's.

    Ends with code 1 when a sample fails.

    \b
    Example:
        qctkit validate augmented.h5 --against real.h5
    """
    from qctkit.pipeline.validate import validate
    from qctkit.store.reader import CohortFile

    made, real = CohortFile(cohort), CohortFile(against)
    found = validate(made, real, chosen_registry(), shown_progress())
    if as_json:
        click.echo(json.dumps(found.record(), indent=1, sort_keys=True))
        return int(not found.passed)
    for check in found.checks:
        click.echo(f"{check.sample_id}: {'passed' if check.passed else 'FAILED'}")
        for verdict in check.verdicts:
            click.echo(
                f"  {verdict.validator}: {'pass' if verdict.passed else 'FAIL'}: {verdict.words}"
            )
    for name, value in found.figures.items():
        click.echo(f"{name}: {value:.4g}")
    return int(not found.passed)
