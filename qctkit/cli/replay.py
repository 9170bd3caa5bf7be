"""``qctkit replay``."""

from pathlib import Path

import click

from qctkit.cli.chosen import chosen_registry
from qctkit.cli.counted import counted
from qctkit.cli.options import cohort_argument, overwrite_option
from qctkit.cli.shown import shown_progress


@click.command(name="replay")
@cohort_argument
@click.argument("samples", nargs=-1, metavar="[SAMPLE]...")
@click.option(
    "--source",
    required=True,
    type=click.Path(path_type=Path),
    help="The real cohort that the samples were made from.",
)
@click.option("--all", "every", is_flag=True, help="Every sample of the file.")
@click.option(
    "--spacing-mm",
    type=(float, float, float),
    metavar="D H W",
    help="Distance between slices, rows and columns of the result, mm. Default: the source's.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Cohort file to write; without it samples are only compared.",
)
@overwrite_option
def command(
    cohort: Path,
    samples: tuple[str, ...],
    source: Path,
    every: bool,
    spacing_mm: tuple[float, float, float] | None,
    output: Path | None,
    overwrite: bool,
) -> int:
    """Make stored samples again from their record and their source.

    Each is made at its source's resolution first and compared with what is stored; one that does
    not come out the same, byte for byte, is refused, with the versions that differ from those of
    its record. --spacing-mm then makes it on a finer or coarser grid: the source is resampled, and
    the same edit applied, whose parameters are in mm and know no voxels. Without -o nothing is
    written, and the command ends with code 1 when a sample does not come out the same.

    \b
    Examples:
        qctkit replay augmented.h5 S01-a00003 --source real.h5 -o again.h5
        qctkit replay augmented.h5 S01-a00003 --source real.h5 --spacing-mm 1 0.5 0.5 -o fine.h5
        qctkit replay augmented.h5 --all --source real.h5
    """
    from qctkit.errors import InputError
    from qctkit.pipeline.replay import Replayer, check_replays, write_replayed
    from qctkit.store.reader import CohortFile

    if bool(samples) == every:
        raise InputError("give the samples to replay, or --all for every one of the file")
    if spacing_mm is not None and output is None:
        raise InputError("--spacing-mm makes new voxels; say with -o where to write them")
    if output is not None and any(_same_file(output, one) for one in (cohort, source)):
        raise InputError(f"-o {output} is an input itself; it would be lost, choose another name")
    made, progress = CohortFile(cohort), shown_progress()
    chosen = made.sample_ids if every else tuple(dict.fromkeys(samples))
    for sample_id in chosen:
        made.row(sample_id)
    replayer = Replayer(made, CohortFile(source), chosen_registry())
    if output is not None:
        written = write_replayed(
            replayer, chosen, output, progress, spacing_mm=spacing_mm, overwrite=overwrite
        )
        click.echo(f"{counted(len(written), 'sample')} replayed to {output}")
        return 0
    problems = check_replays(replayer, chosen, progress)
    for sample_id, problem in problems.items():
        click.echo(problem or f"{sample_id}: the same, byte for byte")
    return int(any(problems.values()))


def _same_file(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)
