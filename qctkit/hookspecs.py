"""Every hook of qctkit on one page.

``register_*`` hooks return components; values carry their own name and two of one kind with the
same name are an error. The built-in components come through these same hooks.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from qctkit.contracts import (
        Edit,
        Exporter,
        LossTerm,
        PredictorFamily,
        Reader,
        Recipe,
        Validator,
    )

PROJECT = "qctkit"
hookspec = pluggy.HookspecMarker(PROJECT)


@hookspec
def register_readers() -> "Sequence[Reader]":
    """Return readers of scans."""
    return ()


@hookspec
def register_predictors() -> "Sequence[PredictorFamily]":
    """Return predictor families that `qctkit train` fits."""
    return ()


@hookspec
def register_edits() -> "Sequence[Edit]":
    """Return edits that recipes can use."""
    return ()


@hookspec
def register_losses() -> "Sequence[LossTerm]":
    """Return preservation terms that recipes can weigh."""
    return ()


@hookspec
def register_validators() -> "Sequence[Validator]":
    """Return validators that recipes can ask."""
    return ()


@hookspec
def register_recipes() -> "Sequence[Recipe]":
    """Return recipes that ``--plugin`` can select."""
    return ()


@hookspec
def register_exporters() -> "Sequence[Exporter]":
    """Return exporters that `qctkit convert --to` can use."""
    return ()
