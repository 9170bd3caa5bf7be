"""Voxels with their geometry and unit."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from qctkit.calibration import Calibration, scale_in_words, scale_label
from qctkit.errors import InputError
from qctkit.geometry import Geometry, Triple
from qctkit.units import Unit

Voxels: TypeAlias = NDArray[np.int16] | NDArray[np.float32]
Mask: TypeAlias = NDArray[np.bool_]

INT16_RANGE = (-32768, 32767)


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels ``(D, H, W)`` in one unit, with geometry and, where known, a calibration.

    Voxels are held as int16 when every value is a whole number that fits, else as float32, and
    cannot be written to. A calibration says how HU turn into mg/cm3; it does not change voxels.

    Raises:
        InputError: shapes disagree, a voxel is not finite (its index is named), or voxels that are
            a density already have a calibration.
    """

    voxels: Voxels
    geometry: Geometry
    unit: Unit = Unit.HU
    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        if self.voxels.shape != self.geometry.shape:
            raise InputError(
                f"voxels have shape {self.voxels.shape}, their geometry {self.geometry.shape}"
            )
        if self.unit.is_calibrated and self.calibration is not None:
            raise InputError(
                f"voxels are in {self.unit} already, and a calibration is a line from HU; leave "
                "the calibration out, or give the scan in HU"
            )
        voxels = compact(self.voxels)
        voxels.setflags(write=False)
        object.__setattr__(self, "voxels", voxels)

    @property
    def spacing_mm(self) -> Triple:
        """Distance between voxel centres along ``(D, H, W)``, mm."""
        return self.geometry.spacing_mm

    @property
    def is_calibrated(self) -> bool:
        """Whether mineral densities are known for these voxels."""
        return self.unit.is_calibrated or self.calibration is not None

    @property
    def scale_in_words(self) -> str:
        """What the voxels mean, for titles: ``HU (calibrated: 0.8003 HU + 8.12 mg/cm3 ...)``."""
        return scale_in_words(self.unit, self.calibration)

    @property
    def scale_label(self) -> str:
        """What the voxels mean, for an axis: ``HU (uncalibrated)``, ``mg/cm3 HA``."""
        return scale_label(self.unit, self.calibration)

    def with_voxels(self, voxels: NDArray[np.generic]) -> "Volume":
        """Return a volume with other voxels of the same shape, unit and calibration."""
        return Volume(compact(voxels), self.geometry, self.unit, self.calibration)


def compact(voxels: NDArray[np.generic]) -> Voxels:
    """Return a copy as int16 where that loses nothing, else as float32.

    Raises:
        InputError: a voxel is NaN or infinite; the message names its index ``(d, h, w)``.
    """
    if np.issubdtype(voxels.dtype, np.floating):
        finite = np.isfinite(voxels)
        if not finite.all():
            index = tuple(int(i) for i in np.argwhere(~finite)[0])
            raise InputError(
                f"{int((~finite).sum())} voxels are NaN or infinite, the first at (d, h, w) = "
                f"{index}; replace them by a HU value before using the scan"
            )
    if voxels.dtype == np.int16:
        return np.array(voxels, dtype=np.int16)
    low, high = INT16_RANGE
    if voxels.min() >= low and voxels.max() <= high:
        whole = voxels.astype(np.int16)
        if np.array_equal(whole, voxels):
            return whole
    return voxels.astype(np.float32)
