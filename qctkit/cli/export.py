"""``qctkit export``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qctkit.cli.chosen import chosen_registry
from qctkit.cli.options import output_option, overwrite_option
from qctkit.cli.shown import shown_progress

if TYPE_CHECKING:
    from qctkit.predictors.gradient_export import GradientCheck
    from qctkit.predictors.onnx_export import ExportCheck


@click.command(name="export")
@click.argument("predictors", type=click.Path(path_type=Path))
@output_option("Folder of ONNX files to write.")
@click.option(
    "--licence", default="not stated", show_default=True, help="Licence of the weights, recorded."
)
@click.option(
    "--gradient", is_flag=True,
    help="Write <name>.gradient.onnx too: losses, readings and input gradients as one graph.",
)  # fmt: skip
@click.option(
    "--attribute-term", "term", default="squared-error", show_default=True,
    help="What missing a reading costs in a gradient graph.",
)  # fmt: skip
@overwrite_option
def command(
    predictors: Path, output: Path, licence: str, gradient: bool, term: str, overwrite: bool
) -> int:
    """Write the ONNX twin of every predictor, checked against PyTorch.

    Each file describes itself and can be scored alone. The figures of the checks, at several batch
    sizes and at two sizes of view where the network allows it, are in predictors.json beside them.
    A gradient graph is checked against autograd in float64; where a predictor can have none, the
    command says why, writes the others, and ends with code 1.

    \b
    Examples:
        qctkit export predictors/ -o onnx/ --licence CC-BY-4.0
        qctkit export predictors/ -o onnx/ --gradient
    """
    from qctkit.pipeline.export import export
    from qctkit.predictors.trained import load_predictors
    from qctkit.store.folder import refuse_existing

    refuse_existing(output, overwrite=overwrite)
    registry = chosen_registry()
    chosen = registry.attribute_term(term) if gradient else None
    loaded = load_predictors(predictors, registry.family)
    done = export(
        loaded, output, shown_progress(), licence=licence, gradient=chosen, overwrite=overwrite
    )
    for name, check in done.checks.items():
        click.echo(f"{name}.onnx {_in_words(check)}")
    for file, found in done.gradients.items():
        click.echo(f"{file} {_gradient_in_words(found)}")
    for file, why in done.without.items():
        click.echo(f"no {file}: {why}", err=True)
    click.echo(f"ONNX files in {output}")
    return 1 if done.without else 0


def _gradient_in_words(check: "GradientCheck") -> str:
    sizes = ", ".join(map(str, check.errors))
    return (
        f"agrees with autograd to {check.exact:.1e} in float64; in float32 its gradient is off "
        f"by at most {max(check.errors.values()):.1e} in batches of {sizes} (PyTorch's by "
        f"{check.eager:.1e})"
    )


def _in_words(check: "ExportCheck") -> str:
    if not check.parities:
        return "came as an ONNX file and goes on as it is"
    differences = ", ".join(
        f"{one.largest_difference:.1e} at {one.batch} x {'x'.join(map(str, one.size))}"
        for one in check.parities
    )
    size = "any size" if check.any_size else "this size only"
    return f"differs from PyTorch by at most {differences}; takes views of {size}"
