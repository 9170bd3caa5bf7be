"""MetaImage files: volumes in HU and masks.

They are not read by ITK, which takes the identity for a geometry that is left out, gives chance
values for compressed voxels that are damaged, and writes about damage to the terminal.
Source: https://github.com/Kitware/MetaIO, metaImage.cxx and metaObject.cxx.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import isfinite, prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qctkit.contracts import FoundScan, Scan
from qctkit.errors import InputError, ScanError
from qctkit.geometry import FloatArray, Geometry, Shape
from qctkit.readers.image_file import ImageFile, scan_of
from qctkit.readers.voxel_file import beside, unpacked

SUFFIXES = (".mha", ".mhd")
LARGEST_LINE = 1 << 16
LAST_FIELD = "ElementDataFile"
SYNONYMS = {
    "TransformMatrix": ("TransformMatrix", "Orientation", "Rotation"),
    "Offset": ("Offset", "Position", "Origin"),
    "ElementSpacing": ("ElementSpacing", "ElementSize"),
}
NO_SCALING = {"ElementToIntensityFunctionSlope": [1.0], "ElementToIntensityFunctionOffset": [0.0]}
"""Fields that hardly any program applies, and the values at which that does not matter."""
TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
"""NumPy's types; MET_LONG, whose size depends on who wrote it, is refused."""


class MetaImageReader:
    """Reads ``.mha`` files, and ``.mhd`` headers with their voxels beside them."""

    name = "metaimage"

    def claims(self, path: Path) -> bool:
        """Whether the path is a file that ends in ``.mha`` or ``.mhd``."""
        return path.suffix.lower() in SUFFIXES and path.is_file()

    def find(self, path: Path) -> Sequence[FoundScan]:
        """Return the one scan of a MetaImage file."""
        return (FoundScan("MetaImage file", partial(read_metaimage, path)),)


def read_metaimage(path: Path) -> Scan:
    """Return the scan of a MetaImage file.

    Raises:
        ScanError: the file, or the file of voxels beside it, is missing or damaged.
        InputError: it has no stated geometry, or is not one volume of HU.
    """
    return scan_of(read_metaimage_image(path), "MetaImage")


def read_metaimage_image(path: Path) -> ImageFile:
    """Return what a MetaImage file holds.

    Raises:
        ScanError: the file, or the file of voxels beside it, is missing or damaged.
        InputError: it has no stated geometry, or is not one volume of numbers.
    """
    try:
        header = _header(path)
        geometry = _geometry(header.fields)
        return ImageFile(_voxels(header, geometry.shape)[None], geometry)
    except (OSError, ValueError, zlib.error):
        raise _damaged() from None


@dataclass(frozen=True)
class _Header:
    """Fields by name, the file that holds the voxels, and where they start in it."""

    fields: Mapping[str, str] = field(repr=False)
    data: Path
    start: int

    def says(self, *names: str) -> bool:
        """Whether one of the fields says ``True``."""
        return any(self.fields.get(name, "").lower() in ("true", "t", "1") for name in names)


def _header(path: Path) -> _Header:
    fields: dict[str, str] = {}
    with path.open("rb") as stream:
        while LAST_FIELD not in fields:
            line = stream.readline(LARGEST_LINE).decode("utf-8", "replace")
            name, equals, value = line.partition("=")
            if not equals:
                raise _damaged()
            fields[name.strip()] = value.strip()
        behind = stream.tell()
    if fields[LAST_FIELD].upper() == "LOCAL":
        return _Header(fields, path, behind)
    return _Header(fields, beside(path, fields[LAST_FIELD]), 0)


def _damaged() -> ScanError:
    return ScanError(
        "not a readable MetaImage file (truncated or damaged); copy or convert it again"
    )


def _geometry(fields: Mapping[str, str]) -> Geometry:
    """Return the stated geometry, which is LPS along ``(i, j, k)``, in RAS along (d, h, w).

    Raises:
        InputError: it is missing, not in mm or not of three dimensions.
    """
    if fields.get("NDims") != "3":
        raise InputError("expected one 3D volume (NDims = 3); split it into volumes first")
    if fields.get("DistanceUnits", "mm") not in ("mm", "?"):
        raise InputError("the header's DistanceUnits are not mm; write the file again in mm")
    affine: FloatArray = np.eye(4)
    # Each row of three numbers is the direction of one axis.
    affine[:3, :3] = np.reshape(_stated(fields, "TransformMatrix", 9), (3, 3)).T
    affine[:3, :3] *= _stated(fields, "ElementSpacing", 3)
    affine[:3, 3] = _stated(fields, "Offset", 3)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    width, height, depth = (int(size) for size in fields.get("DimSize", "").split())
    return Geometry((depth, height, width), affine[:, [2, 1, 0, 3]])


def _stated(fields: Mapping[str, str], name: str, count: int) -> list[float]:
    """Return the numbers of a geometry field or of its synonym.

    Raises:
        InputError: there is none, or it does not hold so many.
    """
    stated = [fields[one] for one in SYNONYMS[name] if one in fields]
    if not stated:
        raise InputError(
            f"the header has no field {name}; convert the scan again from DICOM, or add the field "
            "if the geometry is known for certain"
        )
    numbers = _numbers(stated[0])
    if len(numbers) != count or (name == "ElementSpacing" and min(numbers) <= 0):
        kind = "positive" if name == "ElementSpacing" else "finite"
        raise InputError(
            f"the header's {name} must hold {count} {kind} numbers; convert the scan again from "
            "DICOM"
        )
    return numbers


def _numbers(text: str) -> list[float]:
    """Return the numbers of a field; none where one is not finite."""
    try:
        numbers = [float(number) for number in text.split()]
    except ValueError:
        return []
    return numbers if all(isfinite(number) for number in numbers) else []


def _voxels(header: _Header, shape: Shape) -> NDArray[np.generic]:
    """Return the voxels ``(D, H, W)``.

    Raises:
        ScanError, ValueError, OSError, zlib.error: they are missing or damaged.
        InputError: they are not one plain number each.
    """
    fields = header.fields
    kind = TYPES.get(fields.get("ElementType", ""))
    if kind is None or fields.get("ElementNumberOfChannels", "1") != "1":
        raise InputError(
            "voxels are colours, vectors or of an unusual ElementType; expected one number per "
            "voxel, such as MET_SHORT or MET_FLOAT"
        )
    if fields.get("BinaryData", "True").lower() in ("false", "f", "0"):
        raise InputError("voxels are written as text (BinaryData = False); write them as binary")
    for name, nothing in NO_SCALING.items():
        if name in fields and _numbers(fields[name]) != nothing:
            raise InputError(f"{name} scales the voxels; write the file again with voxels in HU")
    swapped = header.says("BinaryDataByteOrderMSB", "ElementByteOrderMSB")
    dtype = np.dtype(kind).newbyteorder(">" if swapped else "<")
    content = _content(header, prod(shape) * dtype.itemsize)
    return np.frombuffer(content, dtype).reshape(shape)


def _content(header: _Header, needed: int) -> bytes:
    """Return so many bytes of voxels, unpacked."""
    # -1 stands for whatever lies before the voxels, which then end the file.
    skipped = int(header.fields.get("HeaderSize", "0"))
    start = max(header.start, skipped)
    content = bytearray()
    if header.says("CompressedData"):
        for chunk in unpacked(header.data, start):
            content += chunk
            if len(content) > needed:
                raise _damaged()
        if len(content) != needed:
            raise _damaged()
        return bytes(content)
    size = header.data.stat().st_size
    start = size - needed if skipped < 0 else start
    if not header.start <= start <= size - needed:
        raise _damaged()
    with header.data.open("rb") as stream:
        stream.seek(start)
        return stream.read(needed)
