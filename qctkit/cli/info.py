"""``qctkit info``."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import click

from qctkit.cli.options import cohort_argument, json_option


@click.command(name="info")
@cohort_argument
@json_option
def command(cohort: Path, as_json: bool) -> None:
    """Show what a cohort file holds; its voxels are not read.

    \b
    Example:
        qctkit info real.h5
    """
    from qctkit.pipeline.info import describe
    from qctkit.store.reader import CohortFile

    found = dict(describe(CohortFile(cohort)))
    if as_json:
        click.echo(json.dumps(found, indent=1, sort_keys=True))
        return
    click.echo(f"{cohort}: {len(found['samples'])} samples, {found['refused']} refused candidates")
    click.echo(f"made by qctkit {found['run'].get('command')}; window {found['window_hu']} HU")
    for scale, count in Counter(row["scale"] for row in found["samples"]).most_common():
        click.echo(f"{count} samples in {scale}")
    click.echo("sample                   sex  age_years  weight_kg  side   shape          mask")
    for row in found["samples"]:
        click.echo(_line(row))


def _line(row: dict[str, Any]) -> str:
    shape = "x".join(str(n) for n in row["shape"])
    return (
        f"{row['sample_id']:<24} {row['sex'] or '-':<4} {_number(row['age_years']):<10} "
        f"{_number(row['weight_kg']):<10} {row['side']:<6} {shape:<14} {row['mask']}"
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
