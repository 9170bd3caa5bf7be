"""The text header of a MetaImage file.

ITK gives the identity for a geometry that a header leaves out, and chance values for compressed
voxels that are damaged, so both are looked at first.
Source: https://github.com/Kitware/MetaIO, metaImage.cxx and metaObject.cxx.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, prod
from pathlib import Path

from qctkit.errors import InputError, ScanError
from qctkit.readers.compressed import unpacked_bytes
from qctkit.readers.nrrd_header import detached

LARGEST_LINE = 1 << 16
LAST_FIELD = "ElementDataFile"
GEOMETRY_FIELDS = {
    "TransformMatrix": (("TransformMatrix", "Orientation", "Rotation"), 9),
    "Offset": (("Offset", "Position", "Origin"), 3),
    "ElementSpacing": (("ElementSpacing", "ElementSize"), 3),
}
"""Synonyms of each field, and how many numbers it holds in three dimensions."""
SCALING_FIELDS = {"ElementToIntensityFunctionSlope": 1.0, "ElementToIntensityFunctionOffset": 0.0}
"""Scaling that ITK does not apply, and the values that scale nothing."""
BYTES = {
    **dict.fromkeys(("MET_CHAR", "MET_UCHAR"), 1),
    **dict.fromkeys(("MET_SHORT", "MET_USHORT"), 2),
    **dict.fromkeys(("MET_INT", "MET_UINT", "MET_FLOAT"), 4),
    **dict.fromkeys(("MET_LONG_LONG", "MET_ULONG_LONG", "MET_DOUBLE"), 8),
}
"""Size of a voxel; MET_LONG, which depends on who wrote it, is refused with arrays."""


@dataclass(frozen=True)
class MetaImageHeader:
    """What a MetaImage header says.

    Attributes:
        fields: by name.
        data: the file that holds the voxels.
        start: where they start in it.
    """

    fields: Mapping[str, str]
    data: Path
    start: int

    def says(self, name: str) -> bool:
        """Whether a field says ``True``."""
        return self.fields.get(name, "").lower() in ("true", "t", "1")


def read_metaimage_header(path: Path) -> MetaImageHeader:
    """Return the header of a MetaImage file.

    Raises:
        ScanError: it is no MetaImage file, or its voxels lie in no one file beside it.
    """
    fields: dict[str, str] = {}
    try:
        with path.open("rb") as stream:
            while LAST_FIELD not in fields:
                line = stream.readline(LARGEST_LINE)
                name, equals, value = line.decode("utf-8", "replace").partition("=")
                if not equals:
                    raise damaged()
                fields[name.strip()] = value.strip()
            start = stream.tell()
    except OSError:
        raise damaged() from None
    name = fields[LAST_FIELD]
    if name.upper() == "LOCAL":
        return MetaImageHeader(fields, path, start)
    return MetaImageHeader(fields, detached(path, name), 0)


def damaged() -> ScanError:
    """Return the refusal of a file that is not whole."""
    return ScanError(
        "not a readable MetaImage file (truncated or damaged); copy or convert it again"
    )


def check_metaimage(header: MetaImageHeader) -> None:
    """Refuse a header without a geometry, and voxels that are not whole numbers of one volume.

    Raises:
        InputError: the geometry is missing or not in mm, or it is not one volume of numbers.
        ScanError: voxels are missing or damaged.
    """
    if header.fields.get("NDims") != "3":
        raise InputError("expected one 3D volume (NDims = 3); split it into volumes first")
    for name, (synonyms, count) in GEOMETRY_FIELDS.items():
        _check_numbers(header.fields, name, synonyms, count)
    if header.fields.get("DistanceUnits", "mm") not in ("mm", "?"):
        raise InputError("the header's DistanceUnits are not mm; write the file again in mm")
    for name, nothing in SCALING_FIELDS.items():
        if name in header.fields and _numbers(header.fields[name]) != [nothing]:
            raise InputError(f"{name} scales the voxels; write the file again with voxels in HU")
    channels = header.fields.get("ElementNumberOfChannels", "1")
    if header.fields.get("ElementType") not in BYTES or channels != "1":
        raise InputError(
            "voxels are colours, vectors or of an unusual ElementType; expected one "
            "number per voxel, such as MET_SHORT or MET_FLOAT"
        )
    if header.fields.get("BinaryData", "True").lower() != "false":
        _check_whole(header)


def _check_numbers(
    fields: Mapping[str, str], name: str, synonyms: tuple[str, ...], count: int
) -> None:
    stated = [fields[one] for one in synonyms if one in fields]
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


def _numbers(text: str) -> list[float]:
    """Return the numbers of a field; none where one is not finite."""
    try:
        numbers = [float(number) for number in text.split()]
    except ValueError:
        return []
    return numbers if all(isfinite(number) for number in numbers) else []


def _check_whole(header: MetaImageHeader) -> None:
    """Refuse binary voxels that end early or, compressed, do not unpack."""
    sizes = _numbers(header.fields.get("DimSize", ""))
    if len(sizes) != 3 or min(sizes) < 1:
        raise damaged()
    needed = int(prod(sizes)) * BYTES[header.fields["ElementType"]]
    try:
        skipped = int(header.fields.get("HeaderSize", "0"))
        start = skipped if skipped > 0 else header.start
        if start < header.start:
            raise damaged()
        if header.says("CompressedData"):
            held = unpacked_bytes(header.data, start)
        else:
            held = header.data.stat().st_size - start
    except (OSError, ValueError, zlib.error):
        raise damaged() from None
    if held < needed:
        raise damaged()
