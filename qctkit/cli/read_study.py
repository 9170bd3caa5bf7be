"""``qctkit read-study``."""

import json
from pathlib import Path

import click

from qctkit.cli.counted import counted
from qctkit.cli.options import cohort_argument, json_option, seed_option


@click.command(name="read-study")
@cohort_argument
@click.option("--against", type=click.Path(path_type=Path), required=True, help="The real cohort.")
@click.option(
    "--answers",
    type=click.Path(path_type=Path),
    help="File that answers are added to.  [default: COHORT.readings.jsonl]",
)
@click.option(
    "--scans", default=60, show_default=True, type=click.IntRange(2),
    help="At most so many are shown, half of them generated.",
)  # fmt: skip
@seed_option
@click.option(
    "--port", default=0, type=click.IntRange(0, 65535), help="Of the page; 0 takes a free one."
)
@click.option("--open", "show", is_flag=True, help="Open the page in a browser.")
@click.option("--result", is_flag=True, help="Print what was found so far, and end.")
@json_option
def command(
    cohort: Path,
    against: Path,
    answers: Path | None,
    scans: int,
    seed: int,
    port: int,
    show: bool,
    result: bool,
    as_json: bool,
) -> None:
    """Ask people, blinded, which scans are real and which were made.

    Serves a page on this computer only, at a secret address. Real and generated scans come one at
    a time in random order, no person twice, each reader in an order of their own. Answers are on
    disk at once; a reader goes on later under the same name, and several may read. Ctrl-C ends it.

    \b
    Example:
        qctkit read-study augmented.h5 --against real.h5
        qctkit read-study augmented.h5 --against real.h5 --result
        qctkit report augmented.h5 --against real.h5 --readings augmented.readings.jsonl
    """
    from qctkit.pipeline.read_study import open_study, result_lines, study_result
    from qctkit.store.reader import CohortFile

    made, real = CohortFile(cohort), CohortFile(against)
    file = cohort.with_suffix(".readings.jsonl") if answers is None else answers
    if result:
        found = study_result(made, real, file)
        click.echo(
            json.dumps(found, indent=1, sort_keys=True) if as_json
            else "\n".join(result_lines(found))
        )  # fmt: skip
        return
    from qctkit.serve.reading import reading_server

    study = open_study(made, real, file, scans=scans, seed=seed)
    with reading_server(study, port) as server:
        click.echo(f"{counted(len(study.trials), 'scan')} to read; answers go to {file}")
        click.echo(f"page: {server.address}")
        click.echo("Ctrl-C ends it", err=True)
        if show:
            click.launch(server.address)
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            click.echo(f"\n{len(study.answers.answers)} answers in {file}", err=True)
