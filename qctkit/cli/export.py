"""``qctkit export``."""

from pathlib import Path

import click

from qctkit.cli.options import output_option, overwrite_option
from qctkit.cli.shown import shown_progress


@click.command(name="export")
@click.argument("predictors", type=click.Path(path_type=Path))
@output_option("Folder of ONNX files to write.")
@overwrite_option
def command(predictors: Path, output: Path, overwrite: bool) -> None:
    """Write the ONNX twin of every predictor, checked against PyTorch at two batch sizes.

    \b
    Example:
        qctkit export predictors/ -o onnx/
    """
    from qctkit.pipeline.predict import export
    from qctkit.predictors.trained import load_predictors
    from qctkit.registry import load_registry

    loaded = load_predictors(predictors, load_registry().family)
    parities = export(loaded, predictors, output, shown_progress(), overwrite=overwrite)
    for name, found in parities.items():
        differences = ", ".join(f"batch {one.batch}: {one.largest_difference:.1e}" for one in found)
        click.echo(f"{name}.onnx differs from PyTorch by at most {differences}")
    click.echo(f"ONNX files in {output}")
