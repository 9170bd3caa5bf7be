"""``qctkit info``."""

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from qctkit.cli.chosen import chosen_registry
from qctkit.cli.counted import counted
from qctkit.cli.options import cohort_argument, json_option
from qctkit.cli.outcome import outcome_lines

ROWS_SHOWN = 40
SIZES_SHOWN = 5
LINE = "{:<24} {:<4} {:>9} {:>9}  {:<6} {:<13} {:<16} {}"


@click.command(name="info")
@cohort_argument
@click.option("--all", "show_all", is_flag=True, help=f"List every sample, not only {ROWS_SHOWN}.")
@click.option(
    "--sample",
    "name",
    metavar="ID",
    help="Only this made sample, or refused candidate such as candidate-00007: how it came out.",
)
@json_option
def command(cohort: Path, show_all: bool, name: str | None, as_json: bool) -> None:
    """Show what a cohort file holds; its voxels are not read.

    \b
    Examples:
        qctkit info real.h5
        qctkit info augmented.h5 --sample S01-a00003
    """
    from qctkit.errors import CohortFileError
    from qctkit.pipeline.info import describe, outcome
    from qctkit.store.reader import CohortFile

    file = CohortFile(cohort)
    found = dict(describe(file) if name is None else outcome(file, name))
    if as_json:
        click.echo(json.dumps(found, indent=1, sort_keys=True))
        return
    if name is not None:
        try:
            click.echo("\n".join(outcome_lines(found)))
        except KeyError as missing:
            raise CohortFileError(
                f"{name} has no {missing} on record, since another version made it; --json prints "
                "what there is"
            ) from missing
        return
    for title, words in _summary(found, _registered(found)):
        click.echo(f"{title + ':':<13} {words}")
    rows = found["samples"] if show_all else found["samples"][:ROWS_SHOWN]
    if rows:
        click.echo()
        head = ("sample", "sex", "age_years", "weight_kg", "side", "shape", "spacing_mm", "mask")
        click.echo("  ".join((LINE.format(*head), *found["other_attributes"])))
    for row in rows:
        others = (f"{_number(row[one]):>{len(one)}}" for one in found["other_attributes"])
        click.echo("  ".join((_line(row), *others)))
    left = len(found["samples"]) - len(rows)
    if left:
        click.echo(f"... and {left} more; --all lists every sample")


def _summary(found: Mapping[str, Any], registered: Collection[str]) -> Iterator[tuple[str, str]]:
    """Give titles and words, the most asked for first."""
    counts = found["counts"]
    yield (
        "cohort",
        f"{counted(counts['samples'], 'sample')}, "
        f"{counted(counts['refused'], 'refused candidate')}, "
        f"{counted(counts['subjects'], 'subject')}",
    )
    if counts["made"]:
        recipes = _counts(found["recipes"])
        yield "made", f"{counts['made']} of {counted(counts['samples'], 'sample')} ({recipes})"
    yield "sex", _counts(found["sex"])
    yield "age_years", _range(found["age_years"])
    yield "weight_kg", _range(found["weight_kg"])
    for other, defined in found["other_attributes"].items():
        unknown = (
            "" if other in registered else "; no plugin here registers it, it is kept as it is"
        )
        yield other, f"{_range(found[other])} {defined['unit']}{unknown}"
    yield "voxels", _counts(found["scales"])
    yield "side", _counts(found["sides"])
    yield "mask", _counts(found["masks"])
    yield "size", _counts(found["sizes"], SIZES_SHOWN)
    yield "spacing_mm", " x ".join(_extent(one) for one in found["spacing_mm"].values())
    low, high = found["window_hu"]
    yield "window", f"{low:g} to {high:g} HU"
    yield "made by", f"qctkit {found['run'].get('command', '(not recorded)')}"
    yield "fingerprint", found["fingerprint"]


def _registered(found: Mapping[str, Any]) -> Collection[str]:
    """Return the attributes that plugins register; they are asked only where a file has others."""
    return chosen_registry().names("attributes") if found["other_attributes"] else ()


def _counts(counts: Mapping[str, int], shown: int | None = None) -> str:
    """Return counts in words; one kind alone needs no number."""
    if len(counts) == 1:
        return next(iter(counts))
    words = [f"{name} ({count})" for name, count in list(counts.items())[:shown]]
    left = len(counts) - len(words)
    return ", ".join(words) + (f", and {left} others" if left else "") or "-"


def _range(figures: Mapping[str, float]) -> str:
    missing = f", {figures['missing']} missing" if figures["missing"] else ""
    if "median" not in figures:
        return f"all {figures['missing']} missing" if missing else "-"
    return (
        f"{figures['least']:.1f} to {figures['greatest']:.1f}, "
        f"median {figures['median']:.1f}{missing}"
    )


def _extent(figures: Mapping[str, float]) -> str:
    if "median" not in figures:
        return "-"
    least, greatest = f"{figures['least']:.4g}", f"{figures['greatest']:.4g}"
    return least if least == greatest else f"({least} to {greatest})"


def _line(row: Mapping[str, Any]) -> str:
    return LINE.format(
        row["sample_id"],
        row["sex"] or "-",
        _number(row["age_years"]),
        _number(row["weight_kg"]),
        row["side"],
        "x".join(str(n) for n in row["shape"]),
        "x".join(f"{mm:.3g}" for mm in row["spacing_mm"]),
        row["mask"],
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
