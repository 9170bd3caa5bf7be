"""``qctkit augment``."""

from dataclasses import replace
from pathlib import Path

import click

from qctkit.cli.chosen import chosen_registry
from qctkit.cli.counted import counted
from qctkit.cli.options import (
    output_option,
    overwrite_option,
    resume_option,
    seed_option,
    workers_option,
)
from qctkit.cli.shown import shown_progress

SAMPLES = 16


@click.command(name="augment")
@click.argument("cohort", required=False, type=click.Path(path_type=Path))
@click.option("--plugin", "recipe", required=True, help="Recipe to follow, e.g. femur-density.")
@click.option(
    "-n", "--samples", type=click.IntRange(1),
    help=f"Accepted samples wanted. Default: {SAMPLES}, or every row of --targets.",
)  # fmt: skip
@click.option(
    "--predictors",
    type=click.Path(path_type=Path),
    help="Folder that `qctkit train` wrote; without it predictors are trained and cached.",
)
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    help="Cohort that shows what real people are like, and that the predictors were trained on, "
    "where COHORT only gives the sources. Default: COHORT itself.",
)
@click.option(
    "--target", "asked", multiple=True, metavar="NAME=VALUE",
    help="Value for every candidate, e.g. age_years=75, sex=M, or +10 for ten more than the "
    "source's. Repeat it for several attributes at once.",
)  # fmt: skip
@click.option(
    "--target-where", "limits", multiple=True, metavar="NAME=RANGE",
    help="Draw targets only from real subjects with, e.g., age_years=60:80, weight_kg=:70, sex=F, "
    "or sex=same as the source's. Repeatable; all must hold.",
)  # fmt: skip
@click.option(
    "--targets",
    type=click.Path(path_type=Path),
    help="CSV source_subject_id,sex,age_years,weight_kg, a row a candidate; an empty cell keeps "
    "the source's value.",
)
@click.option(
    "--max-candidates", type=click.IntRange(1), help="Most candidates to try. Default: 4 a sample."
)
@click.option(
    "--driver", "drivers", multiple=True, metavar="NAME",
    help="Predictor that drives the loop in place of the recipe's own. Repeatable.",
)  # fmt: skip
@click.option(
    "--backend", type=click.Choice(["torch", "onnxruntime"]), default="torch", show_default=True,
    help="What computes the gradient of the predictors; the edit's is PyTorch's, and an ONNX "
    "predictor's its own graph's.",
)  # fmt: skip
@click.option(
    "--gradients",
    type=click.Path(path_type=Path),
    help="Folder that `qctkit export --gradient` wrote of these predictors, for --backend "
    "onnxruntime.",
)
@click.option(
    "--batch", type=click.IntRange(1), show_default="8, or what a resumed run began with",
    help="Candidates optimised together, in each process.",
)  # fmt: skip
@output_option("Cohort file to write.", default="augmented.h5")
@seed_option
@workers_option
@resume_option
@overwrite_option
def command(
    cohort: Path | None,
    recipe: str,
    samples: int | None,
    predictors: Path | None,
    reference: Path | None,
    asked: tuple[str, ...],
    limits: tuple[str, ...],
    targets: Path | None,
    max_candidates: int | None,
    drivers: tuple[str, ...],
    backend: str,
    gradients: Path | None,
    batch: int | None,
    output: Path,
    seed: int,
    workers: int | None,
    resume: bool,
    overwrite: bool,
) -> int:
    """Make new, labelled samples from real scans.

    Clones a scan, changes it until frozen predictors read the target off it, and keeps it only if
    predictors that were never in the loop agree and its structure and density are those of a real
    femur. With no COHORT it simulates one, so that everything can be tried without data. Ends
    with code 1 when fewer samples than wanted were accepted, or a plugin failed on the way; those
    accepted are kept.

    Targets are drawn from the cohort unless given: each candidate is asked for all the values of
    one other real subject, since attributes go together, of the same sex where sex is not carried.
    A target is possible for attributes that the recipe carries; the others keep the source's
    value. What lies beyond the cohort is made, with a warning, and marked as extrapolation.

    How much memory the run will need is said before it begins. It is refused where the machine, its
    container or its SLURM job plainly has less: give fewer processes (-j) or a smaller --batch.

    \b
    Examples:
        qctkit augment --plugin femur-density
        qctkit augment real.h5 --plugin femur-density -n 16 --seed 1 -o augmented.h5
        qctkit augment real.h5 --plugin femur-density --target age_years=75 --target weight_kg=62
        qctkit augment real.h5 --plugin femur-density --target age_years=+10
        qctkit augment real.h5 --plugin femur-density --target-where age_years=60:80 \\
            --target-where weight_kg=:70
    """
    from qctkit.errors import InputError

    if sum(map(bool, (targets, asked, limits))) > 1:
        raise InputError("--targets, --target and --target-where exclude one another; give one")
    if (backend == "onnxruntime") != (gradients is not None):
        raise InputError(
            "--backend onnxruntime and --gradients go together: the folder of gradient graphs that "
            "`qctkit export --gradient` wrote"
        )
    from qctkit.pipeline.augment import AugmentOptions, augment
    from qctkit.pipeline.augment_targets import given_targets
    from qctkit.pipeline.defaults import default_cohort, default_predictors
    from qctkit.pipeline.target_words import read_asked, read_limits
    from qctkit.predictors.trained import load_predictors
    from qctkit.predictors.training import TrainingSettings
    from qctkit.processes import usual_workers
    from qctkit.store.reader import CohortFile
    from qctkit.store.writer import refuse_existing_output

    registry = chosen_registry()  # first, since attributes of plugins may be asked for
    every, drawn_from = read_asked(asked), read_limits(limits)
    chosen = registry.recipe(recipe)
    page = output.with_suffix(".summary.html")
    refuse_existing_output(output, overwrite=overwrite, resume=resume)
    refuse_existing_output(page, overwrite=overwrite)
    if cohort is not None and cohort.exists() and output.exists() and cohort.samefile(output):
        raise InputError(f"-o {output} is the cohort itself; it would be lost, choose another name")
    progress = shown_progress()
    workers = workers or usual_workers()
    real = default_cohort(progress) if cohort is None else CohortFile(cohort)
    shows = real if reference is None else CohortFile(reference)
    wanted = given_targets(real, targets, every, seed)
    if predictors is None:
        settings = TrainingSettings(workers=workers)
        trained = default_predictors(shows, registry, settings, progress)
    else:
        trained = load_predictors(predictors, registry.family)
    if drivers:
        chosen = replace(chosen, predictors=tuple(trained.named(one).name for one in drivers))
    count = samples or (len(wanted) if targets else SAMPLES)
    if wanted and count > len(wanted):
        if samples:
            progress.say(f"at most {len(wanted)} samples: no two have one source and one target")
        count = len(wanted)
    options = AugmentOptions(count, seed, max_candidates, wanted, drawn_from, gradients, batch)
    try:
        result = augment(
            real, chosen, trained, registry, options, output, progress,
            reference=shows, overwrite=overwrite, resume=resume, workers=workers,
        )  # fmt: skip
    except KeyboardInterrupt:
        click.echo(f"Finished candidates are kept; go on with --resume -o {output}", err=True)
        raise
    from qctkit.report.summary import write_summary  # loads matplotlib

    write_summary(CohortFile(output), real, page, progress)
    wanted_words = counted(result.wanted, "sample")
    click.echo(f"{result.accepted} of {wanted_words} accepted, {result.refused} refused")
    click.echo(f"cohort:    {real.path}")
    click.echo(f"samples:   {output}")
    click.echo(f"summary:   {page}")
    return 0 if result.accepted >= result.wanted and not registry.failures else 1
