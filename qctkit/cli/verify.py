"""``qctkit verify``."""

import json
from pathlib import Path

import click

from qctkit.cli.counted import counted
from qctkit.cli.options import cohort_argument, json_option
from qctkit.cli.shown import shown_progress


@click.command(name="verify")
@cohort_argument
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A cohort with the sources of made samples; can be given more than once.",
)
@click.option(
    "--disjoint-from",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A cohort of another data split: no subject may be in both. Can be given more than once.",
)
@json_option
def command(
    cohort: Path, against: tuple[Path, ...], disjoint_from: tuple[Path, ...], as_json: bool
) -> int:
    """Check a cohort file in full: structure, checksums, voxels, geometry, labels, subjects.

    With --against, made samples must equal their sources outside the region that the recipe may
    change. Every problem is told. Ends with code 1 when there is one, 2 when the file is no
    readable cohort.

    \b
    Example:
        qctkit verify test.h5 --against real.h5 --disjoint-from train.h5
    """
    from qctkit.pipeline.verify import verify
    from qctkit.store.reader import CohortFile

    found = verify(
        CohortFile(cohort),
        shown_progress(),
        against=[CohortFile(path) for path in against],
        disjoint_from=[CohortFile(path) for path in disjoint_from],
    )
    if as_json:
        click.echo(json.dumps(found.record(), indent=1, sort_keys=True))
        return int(not found.good)
    for check in found.checks:
        state = "good" if check.good else counted(len(check.problems), "problem")
        click.echo(f"{check.name + ':':<13} {state} ({check.words})")
        for problem in check.problems:
            click.echo(f"  {problem}")
    return int(not found.good)
