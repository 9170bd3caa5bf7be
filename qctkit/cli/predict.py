"""``qctkit predict``."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qctkit.cli.options import cohort_argument, device_option, json_option, threads_option
from qctkit.cli.shown import shown_progress

if TYPE_CHECKING:
    from qctkit.pipeline.predict import Predictions, SampleEstimates

NORMAL_90 = 1.645
"""Half width of a normal distribution's central 90 %, in standard deviations."""

COLUMNS = ("sample", "sex", "P(male)", "age, years", "weight, kg")


@click.command(name="predict")
@cohort_argument
@click.option(
    "--predictors",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder that `qctkit export` wrote, an ONNX file that describes itself, or a folder with "
    "a model and its description in TOML.",
)
@device_option
@threads_option
@json_option
def command(
    cohort: Path, predictors: Path, device: str, threads: int | None, as_json: bool
) -> None:
    """Read sex, age and weight off every sample, by ONNX Runtime.

    Readings of subjects that the predictors were trained on are better than they deserve. ± is a
    90 % interval for that subject; --json gives the standard deviation behind it as its spread.

    \b
    Example:
        qctkit predict real.h5 --predictors onnx/
    """
    from qctkit.pipeline.predict import predict
    from qctkit.predictors.onnx_scoring import Hardware
    from qctkit.store.reader import CohortFile

    found = predict(CohortFile(cohort), predictors, shown_progress(), Hardware(device, threads))
    click.echo(
        f"read by {', '.join(found.predictors)}; computed by ONNX Runtime's {found.provider}, "
        f"threads: {found.threads}",
        err=True,
    )
    if as_json:
        click.echo(json.dumps([one.record() for one in found.samples], indent=1))
        return
    others = found.samples[0].others if found.samples else ()
    titles = [name.replace("_", ", ") if name.count("_") == 1 else name for name in others]
    _table([(*COLUMNS, *titles), *(_row(one, others) for one in found.samples)])
    click.echo(_note(found), err=True)


def _table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _row(one: "SampleEstimates", others: Sequence[str]) -> tuple[str, ...]:
    probability = one.values.get("sex")
    return (
        one.sample_id,
        one.sex or "-",
        "-" if probability is None else f"{probability:.2f}",
        _with_interval(one, "age_years"),
        _with_interval(one, "weight_kg"),
        *(_with_interval(one, name) for name in others),
    )


def _with_interval(one: "SampleEstimates", name: str) -> str:
    if name not in one.values:
        return "-"
    within = f" ± {NORMAL_90 * one.spreads[name]:.1f}" if name in one.spreads else ""
    return f"{one.values[name]:.1f}{within}"


def _note(found: "Predictions") -> str:
    if not any(one.spreads for one in found.samples):
        return "no intervals: errors of these predictors were not measured"
    return f"± is at most a 90 % interval, if errors are normal; measured on {found.evidence}"
