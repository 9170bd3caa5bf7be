"""``qctkit augment``."""

import os
from pathlib import Path

import click

from qctkit.cli.chosen import chosen_registry
from qctkit.cli.options import output_option, overwrite_option, resume_option, seed_option
from qctkit.cli.shown import shown_progress


@click.command(name="augment")
@click.argument("cohort", required=False, type=click.Path(path_type=Path))
@click.option("--plugin", "recipe", required=True, help="Recipe to follow, e.g. femur-density.")
@click.option(
    "-n", "--samples", default=16, show_default=True, type=click.IntRange(1),
    help="Accepted samples wanted.",
)  # fmt: skip
@click.option(
    "--predictors",
    type=click.Path(path_type=Path),
    help="Folder that `qctkit train` wrote; without it predictors are trained and cached.",
)
@click.option(
    "--targets",
    type=click.Path(path_type=Path),
    help="CSV source_subject_id,sex,age_years,weight_kg; an empty cell keeps the source's value.",
)
@click.option(
    "--max-candidates", type=click.IntRange(1), help="Most candidates to try. Default: 4 a sample."
)
@output_option("Cohort file to write.", default="augmented.h5")
@seed_option
@resume_option
@overwrite_option
def command(
    cohort: Path | None,
    recipe: str,
    samples: int,
    predictors: Path | None,
    targets: Path | None,
    max_candidates: int | None,
    output: Path,
    seed: int,
    resume: bool,
    overwrite: bool,
) -> int:
    """Make new, labelled samples from real scans.

    Clones a scan, changes it until frozen predictors read the target off it, and keeps it only if
    predictors that were never in the loop agree and its structure and density are those of a real
    femur. With no COHORT it simulates one, so that everything can be tried without data. Ends
    with code 1 when fewer samples than wanted were accepted; those accepted are kept.

    \b
    Examples:
        qctkit augment --plugin femur-density
        qctkit augment real.h5 --plugin femur-density -n 16 --seed 1 -o augmented.h5
    """
    from qctkit.errors import InputError
    from qctkit.pipeline.augment import AugmentOptions, augment
    from qctkit.pipeline.defaults import default_cohort, default_predictors
    from qctkit.pipeline.target_table import read_targets
    from qctkit.predictors.trained import load_predictors
    from qctkit.predictors.training import TrainingSettings
    from qctkit.report.summary import write_summary
    from qctkit.store.reader import CohortFile
    from qctkit.store.writer import refuse_existing_output

    registry = chosen_registry()
    chosen = registry.recipe(recipe)
    page = output.with_suffix(".summary.html")
    refuse_existing_output(output, overwrite=overwrite, resume=resume)
    refuse_existing_output(page, overwrite=overwrite)
    if cohort is not None and cohort.exists() and output.exists() and cohort.samefile(output):
        raise InputError(f"-o {output} is the cohort itself; it would be lost, choose another name")
    progress = shown_progress()
    real = default_cohort(progress) if cohort is None else CohortFile(cohort)
    wanted = () if targets is None else read_targets(targets, real)
    if predictors is None:
        settings = TrainingSettings(workers=os.cpu_count() or 1)
        trained = default_predictors(real, registry, settings, progress)
    else:
        trained = load_predictors(predictors, registry.family)
    options = AugmentOptions(len(wanted) or samples, seed, max_candidates, wanted)
    try:
        result = augment(
            real, chosen, trained, registry, options, output, progress,
            overwrite=overwrite, resume=resume,
        )  # fmt: skip
    except KeyboardInterrupt:
        click.echo(f"Finished candidates are kept; go on with --resume -o {output}", err=True)
        raise
    write_summary(CohortFile(output), real, page, progress)
    click.echo(f"{result.accepted} of {result.wanted} samples accepted, {result.refused} refused")
    click.echo(f"cohort:    {real.path}")
    click.echo(f"samples:   {output}")
    click.echo(f"summary:   {page}")
    return 0 if result.accepted >= result.wanted else 1
