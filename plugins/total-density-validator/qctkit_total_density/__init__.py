"""The ``total-density`` validator: the whole femur is as dense as real femurs are."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qctkit.plugin import hookimpl

if TYPE_CHECKING:
    from qctkit.plugin import Validator

QCTKIT_API = "1.0"


@hookimpl
def register_validators() -> "Sequence[Validator]":
    """Return the validator; what it imports waits until it is asked for."""
    from qctkit_total_density.validator import TotalDensity

    return (TotalDensity(),)
