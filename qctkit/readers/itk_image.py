"""NRRD and MetaImage files, read by ITK after a look of our own at the header.

ITK is loaded only when a file is read.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qctkit.contracts import FoundScan, Scan
from qctkit.errors import InputError, ScanError
from qctkit.geometry import FloatArray, Geometry
from qctkit.readers import metaimage_header, nrrd_header
from qctkit.readers.image_file import ImageFile, scan_of, stated_unit

if TYPE_CHECKING:
    from SimpleITK import Image

NRRD_SUFFIXES = (".nrrd", ".nhdr")
METAIMAGE_SUFFIXES = (".mha", ".mhd")
UNIT_KEY = "qctkit unit"
"""NRRD key under which qctkit's own exporter states the unit."""


class NrrdReader:
    """Reads ``.nrrd`` files, and ``.nhdr`` headers with their voxels beside them."""

    name = "nrrd"

    def claims(self, path: Path) -> bool:
        """Whether the path is a file that ends in ``.nrrd`` or ``.nhdr``."""
        return path.suffix.lower() in NRRD_SUFFIXES and path.is_file()

    def find(self, path: Path) -> Sequence[FoundScan]:
        """Return the one scan of a NRRD file."""
        return (FoundScan("NRRD file", partial(read_nrrd, path)),)


class MetaImageReader:
    """Reads ``.mha`` files, and ``.mhd`` headers with their voxels beside them."""

    name = "metaimage"

    def claims(self, path: Path) -> bool:
        """Whether the path is a file that ends in ``.mha`` or ``.mhd``."""
        return path.suffix.lower() in METAIMAGE_SUFFIXES and path.is_file()

    def find(self, path: Path) -> Sequence[FoundScan]:
        """Return the one scan of a MetaImage file."""
        return (FoundScan("MetaImage file", partial(read_metaimage, path)),)


def read_nrrd(path: Path) -> Scan:
    """Return the scan of a NRRD file.

    Raises:
        ScanError: the file, or the file of voxels beside it, is missing or damaged.
        InputError: it has no stated geometry in the patient, or is not one volume of HU.
    """
    return scan_of(read_nrrd_image(path), "NRRD")


def read_metaimage(path: Path) -> Scan:
    """Return the scan of a MetaImage file.

    Raises:
        ScanError: the file, or the file of voxels beside it, is missing or damaged.
        InputError: it has no stated geometry, or is not one volume of HU.
    """
    return scan_of(read_metaimage_image(path), "MetaImage")


def read_nrrd_image(path: Path) -> ImageFile:
    """Return what a NRRD file holds, with the segments of a Slicer ``.seg.nrrd``."""
    header = nrrd_header.read_nrrd_header(path)
    nrrd_header.check_nrrd(header)
    segments = nrrd_header.nrrd_segments(header)
    image = _read(path, "NrrdImageIO", nrrd_header.damaged())
    unit = stated_unit(header.keys.get(UNIT_KEY, ""))
    return ImageFile(_layers(image), _geometry(image), unit, segments)


def read_metaimage_image(path: Path) -> ImageFile:
    """Return what a MetaImage file holds."""
    metaimage_header.check_metaimage(metaimage_header.read_metaimage_header(path))
    image = _read(path, "MetaImageIO", metaimage_header.damaged())
    return ImageFile(_layers(image), _geometry(image))


def _read(path: Path, image_io: str, damaged: ScanError) -> "Image":
    """Return ITK's image; what ITK itself says may quote the header, so it is not passed on."""
    import SimpleITK

    SimpleITK.ProcessObject.GlobalWarningDisplayOff()
    try:
        image = SimpleITK.ReadImage(str(path), imageIO=image_io)
    except RuntimeError:
        raise damaged from None
    if image.GetDimension() != 3:
        size = " x ".join(str(n) for n in image.GetSize())
        raise InputError(f"expected one 3D volume, got {size} voxels; split it into volumes first")
    if "complex" in image.GetPixelIDTypeAsString():
        raise InputError("voxels are complex numbers; expected one number per voxel")
    return image


def _layers(image: "Image") -> np.ndarray:
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
