"""The line that turns HU into mineral density."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qctkit.errors import InputError
from qctkit.units import Material, Unit


@dataclass(frozen=True)
class Calibration:
    """density = slope * HU + intercept, in mg/cm3 of a reference material.

    Attributes:
        slope_mg_cm3_per_hu: slope of the line; positive.
        intercept_mg_cm3: density at 0 HU.
        material: reference material of the phantom.
        origin: where the line came from, in a few words ("stated", "phantom rods").
    """

    slope_mg_cm3_per_hu: float
    intercept_mg_cm3: float
    material: Material
    origin: str = "stated"

    def __post_init__(self) -> None:
        if not (np.isfinite(self.slope_mg_cm3_per_hu) and self.slope_mg_cm3_per_hu > 0):
            raise InputError(
                "a calibration slope must be positive, got "
                f"{self.slope_mg_cm3_per_hu} mg/cm3 per HU"
            )
        if not np.isfinite(self.intercept_mg_cm3):
            raise InputError("a calibration intercept must be finite")

    @property
    def unit(self) -> Unit:
        """Unit of the densities that this line gives."""
        return Unit.of_density(self.material)

    def density_mg_cm3(self, values_hu: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return mineral densities of HU values, same shape, mg/cm3."""
        hu = values_hu.astype(np.float32)
        return np.asarray(self.slope_mg_cm3_per_hu * hu + self.intercept_mg_cm3, dtype=np.float32)
