"""NRRD files: volumes in HU and masks, read by ITK after a look of our own at the header.

ITK is loaded only when a file is read.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qctkit.contracts import FoundScan, Scan
from qctkit.errors import InputError
from qctkit.geometry import FloatArray, Geometry
from qctkit.readers.image_file import ImageFile, scan_of, stated_unit
from qctkit.readers.nrrd_header import check_nrrd, damaged, nrrd_segments, read_nrrd_header
from qctkit.units import NRRD_UNIT_KEY

if TYPE_CHECKING:
    from SimpleITK import Image

SUFFIXES = (".nrrd", ".nhdr")


class NrrdReader:
    """Reads ``.nrrd`` files, and ``.nhdr`` headers with their voxels beside them."""

    name = "nrrd"

    def claims(self, path: Path) -> bool:
        """Whether the path is a file that ends in ``.nrrd`` or ``.nhdr``."""
        return path.suffix.lower() in SUFFIXES and path.is_file()

    def find(self, path: Path) -> Sequence[FoundScan]:
        """Return the one scan of a NRRD file."""
        return (FoundScan("NRRD file", partial(read_nrrd, path)),)


def read_nrrd(path: Path) -> Scan:
    """Return the scan of a NRRD file.

    Raises:
        ScanError: the file, or the file of voxels beside it, is missing or damaged.
        InputError: it has no stated geometry in the patient, or is not one volume of HU.
    """
    return scan_of(read_nrrd_image(path), "NRRD")


def read_nrrd_image(path: Path) -> ImageFile:
    """Return what a NRRD file holds, with the segments of a Slicer ``.seg.nrrd``.

    Raises:
        ScanError: the file, or the file of voxels beside it, is missing or damaged.
        InputError: it has no stated geometry in the patient, or is not one volume of numbers.
    """
    header = read_nrrd_header(path)
    check_nrrd(header)
    segments = nrrd_segments(header)
    image = _read(path)
    unit = stated_unit(header.keys.get(NRRD_UNIT_KEY, ""))
    return ImageFile(_layers(image), _geometry(image), unit, segments)


def _read(path: Path) -> "Image":
    """Return ITK's image; what ITK itself says may quote the header, so it is not passed on."""
    import SimpleITK

    SimpleITK.ProcessObject.GlobalWarningDisplayOff()
    try:
        image = SimpleITK.ReadImage(str(path), imageIO="NrrdImageIO")
    except (RuntimeError, MemoryError):
        raise damaged() from None
    if image.GetDimension() != 3:
        size = " x ".join(str(n) for n in image.GetSize())
        raise InputError(f"expected one 3D volume, got {size} voxels; split it into volumes first")
    if "complex" in image.GetPixelIDTypeAsString():
        raise InputError("voxels are complex numbers; expected one number per voxel")
    return image


def _layers(image: "Image") -> NDArray[np.generic]:
    """Return the voxels ``(L, D, H, W)``."""
    import SimpleITK

    voxels = SimpleITK.GetArrayFromImage(image)
    return voxels[None] if voxels.ndim == 3 else np.moveaxis(voxels, -1, 0)


def _geometry(image: "Image") -> Geometry:
    """Return ITK's geometry, which is LPS along ``(i, j, k)``, in RAS along (d, h, w)."""
    affine: FloatArray = np.eye(4)
    directions = np.reshape(image.GetDirection(), (3, 3))
    affine[:3, :3] = directions * np.asarray(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    width, height, depth = image.GetSize()
    return Geometry((depth, height, width), affine[:, [2, 1, 0, 3]])
