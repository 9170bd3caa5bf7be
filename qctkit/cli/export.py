"""``qctkit export``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qctkit.cli.chosen import chosen_registry
from qctkit.cli.options import output_option, overwrite_option
from qctkit.cli.shown import shown_progress

if TYPE_CHECKING:
    from qctkit.predictors.onnx_export import ExportCheck


@click.command(name="export")
@click.argument("predictors", type=click.Path(path_type=Path))
@output_option("Folder of ONNX files to write.")
@click.option(
    "--licence", default="not stated", show_default=True, help="Licence of the weights, recorded."
)
@overwrite_option
def command(predictors: Path, output: Path, licence: str, overwrite: bool) -> None:
    """Write the ONNX twin of every predictor, checked against PyTorch.

    Each file describes itself and can be scored alone. The figures of the checks, at several batch
    sizes and at two sizes of view where the network allows it, are in predictors.json beside them.

    \b
    Example:
        qctkit export predictors/ -o onnx/ --licence CC-BY-4.0
    """
    from qctkit.pipeline.export import export
    from qctkit.predictors.trained import load_predictors
    from qctkit.store.folder import refuse_existing

    refuse_existing(output, overwrite=overwrite)
    loaded = load_predictors(predictors, chosen_registry().family)
    checks = export(loaded, output, shown_progress(), licence=licence, overwrite=overwrite)
    for name, check in checks.items():
        click.echo(f"{name}.onnx {_in_words(check)}")
    click.echo(f"ONNX files in {output}")


def _in_words(check: "ExportCheck") -> str:
    if not check.parities:
        return "came as an ONNX file and goes on as it is"
    differences = ", ".join(
        f"{one.largest_difference:.1e} at {one.batch} x {'x'.join(map(str, one.size))}"
        for one in check.parities
    )
    size = "any size" if check.any_size else "this size only"
    return f"differs from PyTorch by at most {differences}; takes views of {size}"
