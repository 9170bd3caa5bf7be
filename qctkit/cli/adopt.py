"""``qctkit adopt``."""

from pathlib import Path

import click

from qctkit.cli.chosen import chosen_registry
from qctkit.cli.options import cohort_argument, overwrite_option
from qctkit.cli.shown import shown_progress


@click.command(name="adopt")
@click.argument("model", type=click.Path(path_type=Path))
@cohort_argument
@click.option(
    "--predictors",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder that `qctkit train` wrote; the predictor is added to it.",
)
@click.option("--name", help="Name of the predictor.  [default: the model's own]")
@overwrite_option
def command(model: Path, cohort: Path, predictors: Path, name: str | None, overwrite: bool) -> None:
    """Add an ONNX predictor from elsewhere: a reader outside the loop, or one that drives it.

    MODEL is an ONNX file that describes itself, or a folder with a model and its description in
    TOML. It is measured on COHORT, and judges by what was measured. Which subjects it was trained
    on is not known, so its figures may be better than it deserves. Where the description names a
    gradient graph too, the predictor does not judge: it may drive (`qctkit augment --driver`), once
    its gradient has been found to lead where its own losses fall.

    \b
    Examples:
        qctkit adopt my-model/ real.h5 --predictors predictors/
        qctkit augment real.h5 --plugin voxel-baseline --predictors predictors/ --driver my-model
    """
    from qctkit.contracts import Role
    from qctkit.pipeline.adopt import adopt
    from qctkit.store.reader import CohortFile

    adopted = adopt(
        model, CohortFile(cohort), predictors, shown_progress(),
        term_named=chosen_registry().attribute_term, name=name, overwrite=overwrite,
    )  # fmt: skip
    description = adopted.description
    click.echo(f"{description.name} measured on {description.evidence}:")
    for attribute, skill in description.skills.items():
        figures = ", ".join(f"{key} {value:.2f}" for key, value in skill.figures.items())
        click.echo(f"  {attribute}: slope {skill.response.slope:.2f}, {figures}")
    for attribute, why in adopted.left_out.items():
        click.echo(f"  {attribute}: left out, {why}")
    does = "is a reader" if description.role is Role.READER else "may drive the loop"
    click.echo(f"{description.name} {does} in {predictors}")
