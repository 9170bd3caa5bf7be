"""The fixed map of HU to [0, 1] that networks and histograms see.

It is a view, never the stored truth. It is fixed for a cohort and stored with it: a per-scan
minimum and maximum would erase the very density that the study measures.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qctkit.errors import InputError


@dataclass(frozen=True)
class Window:
    """An affine map of ``[low_hu, high_hu]`` to ``[0, 1]``; values outside are clipped.

    Raises:
        InputError: ``high_hu`` is not above ``low_hu``.
    """

    low_hu: float = -1000.0
    high_hu: float = 1600.0

    def __post_init__(self) -> None:
        if not self.high_hu > self.low_hu:
            raise InputError(f"a window needs high above low, got {self.low_hu}, {self.high_hu} HU")

    @property
    def width_hu(self) -> float:
        """Width of the window, HU."""
        return self.high_hu - self.low_hu

    def apply(self, values_hu: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return the [0, 1] view of HU values, same shape, float32."""
        scaled = (values_hu.astype(np.float32) - self.low_hu) / self.width_hu
        return np.asarray(np.clip(scaled, 0.0, 1.0), dtype=np.float32)

    def to_hu(self, fraction: float) -> float:
        """Return the HU value at a fraction of the window."""
        return self.low_hu + fraction * self.width_hu


@dataclass(frozen=True)
class BoneBand:
    """The part of the window in which the source study follows the density peak."""

    low: float = 0.5
    high: float = 0.7

    def limits_hu(self, window: Window) -> tuple[float, float]:
        """Return the band in HU: 300 to 820 in the default window."""
        return window.to_hu(self.low), window.to_hu(self.high)


DEFAULT_WINDOW = Window()
DEFAULT_BONE_BAND = BoneBand()
