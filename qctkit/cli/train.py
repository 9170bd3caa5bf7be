"""``qctkit train``."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qctkit.cli.chosen import chosen_registry
from qctkit.cli.options import cohort_argument, output_option, overwrite_option
from qctkit.cli.shown import shown_progress

if TYPE_CHECKING:
    from qctkit.contracts import PredictorFamily
    from qctkit.predictors.training import TrainingSettings
    from qctkit.registry import Registry

LEAKS = "split of slices: LEAKS, slices of one subject lie on both sides"

SLICES = "slice-network"
"""Measured for both splits where no chosen family reads slices."""


@click.command(name="train")
@cohort_argument
@output_option("Folder of predictors to write.")
@click.option(
    "--config",
    "configuration_file",
    type=click.Path(path_type=Path),
    help="TOML file: families, folds, seed, and how networks are built and trained.",
)
@click.option(
    "--also",
    multiple=True,
    metavar="NAME",
    help="Train this predictor too, such as one of a plugin; may be given several times.",
)
@click.option("--folds", type=click.IntRange(2), help="Of the cross-validation.  [default: 5]")
@click.option("--seed", type=click.IntRange(0), help="Of every draw.  [default: 0]")
@click.option(
    "--workers", default=os.cpu_count() or 1, show_default="all cores", type=click.IntRange(1)
)
@click.option(
    "--split",
    default="subject",
    show_default=True,
    type=click.Choice(["subject", "slice", "both"]),
    help="slice: the source study's split, which leaks; writes metrics.json alone. both: the "
    "figures of that split are shown beside those of the honest one.",
)
@click.option("--resume", is_flag=True, help="Go on with a training that was stopped.")
@overwrite_option
def command(
    cohort: Path,
    output: Path,
    configuration_file: Path | None,
    also: tuple[str, ...],
    folds: int | None,
    seed: int | None,
    workers: int,
    split: str,
    resume: bool,
    overwrite: bool,
) -> int:
    """Train predictors of sex, age and weight, and say what each is worth.

    Every figure is of subjects that the predictor was not trained on (cross-validation over
    subjects, never over scans or slices). An attribute that the cohort cannot teach is skipped.
    report.html beside the predictors shows it, metrics.json holds all figures with their
    intervals, held_out.json the readings behind them.

    \b
    Example:
        qctkit train real.h5 -o predictors/
        qctkit train real.h5 -o predictors/ --config train.toml --resume
        qctkit train real.h5 -o predictors/ --split both
        qctkit train real.h5 -o predictors/ --also my-predictor
    """
    from qctkit.predictors.configuration import TrainingConfiguration, read_configuration
    from qctkit.predictors.slice_split import slice_wise
    from qctkit.predictors.training import TrainingSettings
    from qctkit.store.folder import refuse_existing

    refuse_existing(output, overwrite=overwrite)
    registry = chosen_registry()  # first, since the file may name attributes of plugins
    asked = (
        read_configuration(configuration_file) if configuration_file else TrainingConfiguration()
    )
    registered = registry.families()
    chosen = asked.chosen(registered)
    names = [one.name for one in chosen]
    families = (*chosen, *(registry.family(one) for one in also if one not in names))
    settings = TrainingSettings(
        asked.folds if folds is None else folds, asked.seed if seed is None else seed, workers
    )
    shown_progress().say(f"training {', '.join(one.name for one in families)} on the CPU")
    if split == "slice":
        _measure_leaking(cohort, output, families, settings, overwrite=overwrite)
    else:
        slices: Sequence[PredictorFamily] = ()
        if split == "both":
            slices = slice_wise(families) or replace(asked, families=(SLICES,)).chosen(registered)
        _train(
            cohort, output, families, settings, slices, registry,
            overwrite=overwrite, resume=resume,
        )  # fmt: skip
    return 1 if registry.failures else 0


def _train(
    cohort: Path,
    output: Path,
    families: "Sequence[PredictorFamily]",
    settings: "TrainingSettings",
    slices: "Sequence[PredictorFamily]",
    registry: "Registry",
    *,
    overwrite: bool,
    resume: bool,
) -> None:
    from qctkit.pipeline.train import save_predictors, train_and_measure
    from qctkit.store.reader import CohortFile

    # Beside the output, which takes its name only when it is whole.
    fits, views = _beside(output, "fits"), _beside(output, "views")
    try:
        predictors, figures = train_and_measure(
            CohortFile(cohort), families, settings, shown_progress(), fits,
            views_folder=views, resume=resume, also_leaking=slices, registry=registry,
        )  # fmt: skip
    except KeyboardInterrupt:
        click.echo("What was trained is kept; go on with the same command and --resume", err=True)
        raise
    save_predictors(predictors, output, overwrite=overwrite, metrics=figures)
    click.echo(f"trained on {predictors.training['subjects']} subjects; on held-out subjects:")
    for predictor in predictors.predictors:
        for name in predictor.attributes:
            found = figures["predictors"][predictor.name][name]["per_subject"]
            click.echo(f"  {predictor.name:<20} {predictor.role:<7} {_line(name, found)}")
    _show_slices(figures["per_slice"])
    if "leaking" in figures:
        click.echo(LEAKS)
        _show_slices(figures["leaking"]["per_slice"])
    for name, why in predictors.skipped.items():
        click.echo(f"  {name}: skipped, {why}")
    click.echo(f"predictors, metrics.json and report.html in {output}")


def _measure_leaking(
    cohort: Path,
    output: Path,
    families: "Sequence[PredictorFamily]",
    settings: "TrainingSettings",
    *,
    overwrite: bool,
) -> None:
    from qctkit.pipeline.train import measure_leaking_split, write_metrics
    from qctkit.store.folder import ReplacedFolder
    from qctkit.store.reader import CohortFile

    figures = measure_leaking_split(
        CohortFile(cohort), families, settings, shown_progress(), _beside(output, "views")
    )
    with ReplacedFolder(output, overwrite=overwrite) as folder:
        write_metrics(figures, folder)
    click.echo(LEAKS)
    _show_slices(figures["per_slice"])
    click.echo(f"metrics.json in {output}; no predictors were written")


def _beside(output: Path, what: str) -> Path:
    return output.resolve().with_name(f".{output.name}.{what}")


def _show_slices(slices: Mapping[str, Any]) -> None:
    for predictor, by_attribute in slices.items():
        for name, found in by_attribute.items():
            click.echo(f"  {predictor:<20} slices  {_line(name, found)}")


def _line(name: str, found: Mapping[str, Any]) -> str:
    """Return the figures that matter of one attribute, with their intervals."""
    if "accuracy" in found:
        matrix = found["confusion"]
        counts = "/".join(str(matrix[f"true_{a}_read_{b}"]) for a in "fm" for b in "fm")
        words = _shown(found, {"accuracy": "accuracy", "AUC": "auc"})
        return f"{name:<10} {words}, FF/FM/MF/MM {counts}"
    names = {"error": "mae", "of the mean": "mae_of_mean", "R2": "r2", "bias": "bias"}
    return f"{name:<10} {_shown(found, names)}"


def _shown(found: Mapping[str, Any], names: Mapping[str, str]) -> str:
    words = []
    for word, key in names.items():
        value, low, high = (found[key][part] for part in ("value", "low", "high"))
        words.append(
            f"{word} unknown"
            if value is None or low is None or high is None
            else f"{word} {value:.2f} ({low:.2f} to {high:.2f})"
        )
    return ", ".join(words)
