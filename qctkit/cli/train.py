"""``qctkit train``."""

import os
from pathlib import Path

import click

from qctkit.cli.options import cohort_argument, output_option, overwrite_option, seed_option
from qctkit.cli.shown import shown_progress


@click.command(name="train")
@cohort_argument
@output_option("Folder of predictors to write.")
@click.option("--folds", default=5, show_default=True, type=click.IntRange(2))
@seed_option
@click.option(
    "--workers", default=os.cpu_count() or 1, show_default="all cores", type=click.IntRange(1)
)
@overwrite_option
def command(
    cohort: Path, output: Path, folds: int, seed: int, workers: int, overwrite: bool
) -> None:
    """Train predictors of sex, age and weight, and say what each is worth.

    Every figure is of subjects that the predictor was not trained on (cross-validation over
    subjects, never over scans or slices). An attribute that the cohort cannot teach is skipped.

    \b
    Example:
        qctkit train real.h5 -o predictors/
    """
    from qctkit.pipeline.train import save_predictors, train
    from qctkit.predictors.training import TrainingSettings
    from qctkit.registry import load_registry
    from qctkit.store.folder import refuse_existing
    from qctkit.store.reader import CohortFile

    refuse_existing(output, overwrite=overwrite)
    settings = TrainingSettings(folds, seed, workers)
    families = load_registry().families()
    predictors = train(CohortFile(cohort), families, settings, shown_progress())
    save_predictors(predictors, output, overwrite=overwrite)
    click.echo(f"trained on {predictors.training['subjects']} subjects; on held-out subjects:")
    for predictor in predictors.predictors:
        for name, skill in predictor.skills.items():
            figures = ", ".join(f"{key} {value:.2f}" for key, value in skill.figures.items())
            click.echo(f"  {predictor.name} ({predictor.role}) {name}: {figures}")
    for name, why in predictors.skipped.items():
        click.echo(f"  {name}: skipped, {why}")
    click.echo(f"predictors in {output}")
