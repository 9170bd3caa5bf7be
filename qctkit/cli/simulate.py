"""``qctkit simulate``."""

from pathlib import Path

import click

from qctkit.cli.options import output_option, overwrite_option, seed_option
from qctkit.cli.shown import shown_progress


@click.command(name="simulate")
@output_option("Cohort file to write.")
@click.option("--subjects", default=29, show_default=True, type=click.IntRange(1))
@click.option(
    "--spacing-mm",
    type=(float, float, float),
    default=None,
    metavar="D H W",
    help="Distance between slices, rows and columns, mm.",
)
@seed_option
@overwrite_option
def command(
    output: Path,
    subjects: int,
    spacing_mm: tuple[float, float, float] | None,
    seed: int,
    overwrite: bool,
) -> None:
    """Simulate a cohort of proximal femurs in HU, with known truth.

    Subject k of a seed is the same however many are simulated.

    \b
    Example:
        qctkit simulate -o cohort.h5 --subjects 29 --seed 0
    """
    from qctkit.pipeline.simulate import simulate
    from qctkit.simulate import SimulationSettings

    settings = SimulationSettings() if spacing_mm is None else SimulationSettings(spacing_mm)
    cohort = simulate(
        output,
        shown_progress(),
        subjects=subjects,
        seed=seed,
        settings=settings,
        overwrite=overwrite,
    )
    click.echo(f"{len(cohort)} subjects in {output}")
