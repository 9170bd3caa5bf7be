"""``qctkit predict``."""

import json
from pathlib import Path

import click

from qctkit.cli.options import cohort_argument, json_option
from qctkit.cli.shown import shown_progress


@click.command(name="predict")
@cohort_argument
@click.option(
    "--predictors",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder that `qctkit export` wrote.",
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto")
@json_option
def command(cohort: Path, predictors: Path, device: str, as_json: bool) -> None:
    """Read sex, age and weight off every sample, by ONNX Runtime.

    Readings of subjects that the predictors were trained on are better than they deserve.

    \b
    Example:
        qctkit predict real.h5 --predictors onnx/
    """
    from qctkit.pipeline.predict import predict
    from qctkit.store.reader import CohortFile

    rows, provider = predict(CohortFile(cohort), predictors, shown_progress(), device=device)
    click.echo(f"computed by ONNX Runtime's {provider}", err=True)
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    click.echo("sample                   sex  P(male)  age_years  weight_kg")
    for row in rows:
        click.echo(
            f"{row['sample_id']:<24} {row['sex'] or '-':<4} "
            f"{_shown(row['probability_male'], 2):<8} "
            f"{_shown(row['age_years'], 1):<10} {_shown(row['weight_kg'], 1)}"
        )


def _shown(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
