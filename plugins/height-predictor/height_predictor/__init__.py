"""height-predictor, a predictor for qctkit."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qctkit.plugin import Attribute, hookimpl

if TYPE_CHECKING:
    from qctkit.plugin import PredictorFamily

QCTKIT_API = "1.0"


@hookimpl
def register_attributes() -> Sequence[Attribute]:
    """Return body height: name, kind, unit and the range in which a value is no typing error."""
    return (Attribute("height_cm", "continuous", "cm", 50.0, 250.0),)


@hookimpl
def register_predictors() -> "Sequence[PredictorFamily]":
    """Return the predictors; what they import waits until they are asked for."""
    from height_predictor.predictor import HeightJudge, HeightPredictor

    return (HeightPredictor(), HeightJudge())
