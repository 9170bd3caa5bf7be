"""A network of MONAI as a predictor for qctkit."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qctkit.plugin import hookimpl

if TYPE_CHECKING:
    from qctkit.plugin import PredictorFamily

QCTKIT_API = "1.0"


@hookimpl
def register_predictors() -> "Sequence[PredictorFamily]":
    """Return the predictor; MONAI takes seconds to import, and waits until this is asked for."""
    from qctkit_monai_predictor.predictor import MonaiRegressor

    return (MonaiRegressor(),)
