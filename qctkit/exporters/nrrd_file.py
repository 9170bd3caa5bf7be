"""One volume or mask as a compressed NRRD file, the same bytes each time."""

from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from qctkit.geometry import Geometry
from qctkit.units import NRRD_UNIT_KEY
from qctkit.volume import Mask, Volume

COMPRESSION_LEVEL = 6


def write_volume(path: Path, volume: Volume) -> Path:
    """Write the voxels exactly, int16 or float32, with their unit, and return the path."""
    image = _image(volume.voxels, volume.geometry)
    image.SetMetaData(NRRD_UNIT_KEY, str(volume.unit))
    return _write(path, image)


def write_mask(path: Path, mask: Mask, geometry: Geometry) -> Path:
    """Write a mask as uint8, 0 and 1, and return the path."""
    return _write(path, _image(mask.astype(np.uint8), geometry))


def _image(voxels: NDArray[np.generic], geometry: Geometry) -> SimpleITK.Image:
    image = SimpleITK.GetImageFromArray(voxels)  # (D, H, W): its axes k, j, i
    lps = np.diag([-1.0, -1.0, 1.0])
    image.SetSpacing(geometry.spacing_mm[::-1])
    image.SetOrigin((lps @ geometry.affine[:3, 3]).tolist())
    image.SetDirection((lps @ geometry.directions[:, ::-1]).ravel().tolist())
    return image


def _write(path: Path, image: SimpleITK.Image) -> Path:
    SimpleITK.WriteImage(image, str(path), useCompression=True, compressionLevel=COMPRESSION_LEVEL)
    return path
