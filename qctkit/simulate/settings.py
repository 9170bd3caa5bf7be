"""How a simulated subject is scanned: grid, blur and noise."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from qctkit.errors import InputError
from qctkit.geometry import Geometry, Triple

FIELD_OF_VIEW_CENTRE_MM: Triple = (4.0, 5.0, 5.0)
"""Centre of the field of view (S, A, R) from the crossing of neck and shaft axes, mm [A]: head and
acetabular roof above, the lesser trochanter and some shaft below, skin at the lateral side."""


@dataclass(frozen=True)
class SimulationSettings:
    """The scanner and its grid; nothing here changes who is scanned.

    Attributes:
        spacing_mm: voxel spacing along ``(D, H, W)``.
        field_of_view_mm: extent along (S, A, R), the directions of ``(D, H, W)``.
        psf_fwhm_mm: full width at half maximum of the whole point-spread function along
            ``(D, H, W)``, voxel averaging included; 1.6 to 2.1 mm in plane was measured on
            real files (figures, section e). An axis whose voxels alone blur more keeps that.
        noise_hu: standard deviation of a voxel's noise in a body of reference size. Measured
            16 to 27 HU at 3 mm in low-dose scans; QCT doses are higher [A].
        noise_grain_mm: width of the in-plane noise grain, that of the reconstruction kernel [A].

    Raises:
        InputError: a spacing or extent is not positive, or noise is negative.
    """

    spacing_mm: Triple = (2.0, 1.0, 1.0)
    field_of_view_mm: Triple = (160.0, 130.0, 160.0)
    psf_fwhm_mm: Triple = (2.0, 1.8, 1.8)
    noise_hu: float = 16.0
    noise_grain_mm: float = 1.6

    def __post_init__(self) -> None:
        for name in ("spacing_mm", "field_of_view_mm", "psf_fwhm_mm"):
            values = tuple(float(value) for value in getattr(self, name))
            object.__setattr__(self, name, values)
            if len(values) != 3 or not all(np.isfinite(values)) or min(values) <= 0:
                raise InputError(f"{name} needs three positive numbers, got {values}")
        if not self.noise_hu >= 0 or not self.noise_grain_mm > 0:
            raise InputError(
                "noise_hu must not be negative and noise_grain_mm must be positive, got "
                f"{self.noise_hu} and {self.noise_grain_mm}"
            )

    @property
    def geometry(self) -> Geometry:
        """The grid, RAS with its origin at the crossing of neck and shaft axes."""
        extent = np.asarray(self.field_of_view_mm)
        spacing = np.asarray(self.spacing_mm)
        depth, height, width = (int(n) for n in np.maximum(np.rint(extent / spacing), 1))
        count = np.array([depth, height, width])
        first = np.asarray(FIELD_OF_VIEW_CENTRE_MM) - (count - 1) / 2 * spacing
        origin = (float(first[2]), float(first[1]), float(first[0]))
        return Geometry.from_spacing((depth, height, width), self.spacing_mm, origin)

    def record(self) -> dict[str, Any]:
        """Return the settings as JSON can hold them."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "SimulationSettings":
        """Return the settings that ``record`` gave."""
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list | tuple) else value
            for key, value in record.items()
        }
        return cls(**values)
