"""Where voxels lie in the patient.

One convention holds everywhere in qctkit:

- arrays are indexed ``(d, h, w)`` and have shape ``(D, H, W)``: slice, row, column for a DICOM
  series; a NIfTI array ``(i, j, k)`` is held transposed, so ``(d, h, w) = (k, j, i)``;
- the world frame is RAS in millimetres: ``+x`` points to the patient's right, ``+y`` anterior,
  ``+z`` superior (DICOM's LPS differs in the sign of x and y);
- an affine maps ``(d, h, w, 1)`` at voxel *centres* to ``(x, y, z, 1)`` and is always float64.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qctkit.errors import InputError

FloatArray: TypeAlias = NDArray[np.float64]
Shape: TypeAlias = tuple[int, int, int]
Triple: TypeAlias = tuple[float, float, float]

SHEAR_TOLERANCE = 1e-3
"""Largest cosine between two axes that still counts as a right angle."""


@dataclass(frozen=True, eq=False)
class Geometry:
    """Shape ``(D, H, W)`` and affine of a volume, without its voxels.

    Raises:
        InputError: the shape is not three positive numbers, or the affine is not finite,
            invertible and free of shear.
    """

    shape: Shape
    affine: FloatArray

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise InputError(f"a volume needs a shape of three positive numbers, got {self.shape}")
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise InputError("an affine must be 4 x 4 and finite")
        if min(self.spacing_mm) < 1e-6:
            raise InputError(f"spacing must be positive, got {self.spacing_mm} mm")
        cosines = self.directions.T @ self.directions - np.eye(3)
        if np.abs(cosines).max() > SHEAR_TOLERANCE:
            raise InputError(
                "the voxel axes are not at right angles (sheared affine, as of a tilted gantry); "
                "resample the scan to a straight grid first"
            )

    @classmethod
    def from_spacing(
        cls, shape: Shape, spacing_mm: Triple, origin_mm: Triple = (0.0, 0.0, 0.0)
    ) -> "Geometry":
        """Return an axis-aligned geometry: d runs superior, h anterior, w to the right.

        ``spacing_mm`` is per array axis ``(D, H, W)``; ``origin_mm`` is the RAS position of
        voxel (0, 0, 0).
        """
        affine = np.zeros((4, 4))
        affine[[2, 1, 0], [0, 1, 2]] = spacing_mm
        affine[:3, 3] = origin_mm
        affine[3, 3] = 1.0
        return cls(shape, affine)

    @property
    def spacing_mm(self) -> Triple:
        """Distance between voxel centres along ``(D, H, W)``, mm."""
        d, h, w = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(d), float(h), float(w)

    @property
    def directions(self) -> FloatArray:
        """Unit vectors of the three array axes in RAS, as columns."""
        return np.asarray(self.affine[:3, :3] / np.asarray(self.spacing_mm))

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel, mm3."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    def to_world(self, indices: ArrayLike) -> FloatArray:
        """Return RAS positions ``(..., 3)`` in mm of voxel indices ``(..., 3)``."""
        index = np.asarray(indices, dtype=np.float64)
        return np.asarray(index @ self.affine[:3, :3].T + self.affine[:3, 3])

    def to_index(self, points_mm: ArrayLike) -> FloatArray:
        """Return fractional voxel indices ``(..., 3)`` of RAS positions ``(..., 3)`` in mm."""
        inverse = np.linalg.inv(self.affine)
        points = np.asarray(points_mm, dtype=np.float64)
        return np.asarray(points @ inverse[:3, :3].T + inverse[:3, 3])

    def crop(self, slices: Sequence[slice]) -> "Geometry":
        """Return the geometry of ``array[slices]``; slices have explicit starts and stops."""
        start = [s.start for s in slices]
        d, h, w = (int(s.stop - s.start) for s in slices)
        affine = self.affine.copy()
        affine[:3, 3] = self.to_world(start)
        return Geometry((d, h, w), affine)

    def matches(self, other: "Geometry", tolerance_mm: float = 1e-3) -> bool:
        """Whether both grids have the same shape and the same voxel centres."""
        return self.shape == other.shape and bool(
            np.allclose(self.affine, other.affine, rtol=0, atol=tolerance_mm)
        )
