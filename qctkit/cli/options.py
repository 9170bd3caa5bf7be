"""Options and arguments that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

cohort_argument = click.argument("cohort", type=click.Path(path_type=Path))
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace an existing output.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a script.")
seed_option = click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of every draw."
)
beside_option = click.option(
    "--beside",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Another file of `qctkit augment` made from the same cohort, such as a run of "
    "voxel-baseline: its real-or-fake figures stand as a further column. Repeatable.",
)
device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="What computes; cuda is an error where there is none.",
)
threads_option = click.option(
    "--threads", type=click.IntRange(1), show_default="physical cores", help="Threads on the CPU."
)
resume_option = click.option(
    "--resume", is_flag=True, help="Go on with an interrupted run of this output."
)
workers_option = click.option(
    "-j", "--workers", type=click.IntRange(1), help="Processes. Default: one a core, at most 4."
)
convert_material_option = click.option(
    "--convert-material",
    type=click.Choice(["HA", "K2HPO4"], case_sensitive=False),
    help="Reference material to convert calibrations to, by the factor of Goodsitt 1992 for the "
    "tube voltage.",
)
k2hpo4_over_ha_option = click.option(
    "--k2hpo4-over-ha",
    type=float,
    metavar="FACTOR",
    help="Convert by this factor instead, e.g. where the tube voltage is not known.",
)


def output_option(what: str, default: str | None = None) -> Callable[[Any], Any]:
    """Return ``-o``, which says what is written."""
    return click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path),
        required=default is None,
        default=default,
        show_default=default is not None,
        help=what,
    )
