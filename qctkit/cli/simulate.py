"""``qctkit simulate``."""

from pathlib import Path

import click

from qctkit.cli.chosen import chosen_registry
from qctkit.cli.counted import counted
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
@click.option(
    "--also",
    "attributes",
    multiple=True,
    metavar="NAME",
    help="State this attribute of every subject too: one that a plugin registers and the simulator "
    "can tell, such as height_cm. May be given several times.",
)
@seed_option
@overwrite_option
def command(
    output: Path,
    subjects: int,
    spacing_mm: tuple[float, float, float] | None,
    attributes: tuple[str, ...],
    seed: int,
    overwrite: bool,
) -> None:
    """Simulate a cohort of proximal femurs in HU, with known truth.

    Subject k of a seed is the same however many are simulated.

    \b
    Examples:
        qctkit simulate -o cohort.h5 --subjects 29 --seed 0
        qctkit simulate -o cohort.h5 --also height_cm
    """
    from qctkit.pipeline.simulate import simulate
    from qctkit.simulate import SimulationSettings

    for name in attributes:
        chosen_registry().component("attributes", name)  # which says what else there is
    settings = SimulationSettings() if spacing_mm is None else SimulationSettings(spacing_mm)
    cohort = simulate(
        output,
        shown_progress(),
        subjects=subjects,
        seed=seed,
        settings=settings,
        attributes=attributes,
        overwrite=overwrite,
    )
    click.echo(f"{counted(len(cohort), 'subject')} in {output}")
