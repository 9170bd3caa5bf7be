"""The text header of a NRRD file.

ITK gives the identity for a geometry that a header leaves out, so the header is looked at first.
Source: http://teem.sourceforge.net/nrrd/format.html
"""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

from qctkit.errors import InputError, ScanError
from qctkit.readers.image_file import Segment
from qctkit.readers.voxel_file import beside, unpacked

MAGIC = b"NRRD000"
LARGEST_LINE = 1 << 24
ANATOMICAL_SPACES = (
    *("right-anterior-superior", "left-anterior-superior", "left-posterior-superior"),
    *("ras", "las", "lps"),
)
GEOMETRY_FIELDS = ("space", "space directions", "space origin")
VECTOR = re.compile(r"\(([^()]*)\)")
SEGMENT_KEY = re.compile(r"Segment(\d+)_(Name|LabelValue|Layer)")
FRACTIONAL = "fractional labelmap"


@dataclass(frozen=True)
class NrrdHeader:
    """What a NRRD header says.

    Attributes:
        fields: by name in lower case.
        keys: key/value pairs, ``key:=value``.
        data: the file that holds the voxels.
        start: where they start in it.
    """

    fields: Mapping[str, str] = field(repr=False)
    keys: Mapping[str, str] = field(repr=False)
    data: Path
    start: int


def read_nrrd_header(path: Path) -> NrrdHeader:
    """Return the header of a NRRD file.

    Raises:
        ScanError: it is no NRRD file, or its voxels lie in no one file beside it.
    """
    fields: dict[str, str] = {}
    keys: dict[str, str] = {}
    try:
        with path.open("rb") as stream:
            if not stream.readline(LARGEST_LINE).startswith(MAGIC):
                raise damaged()
            while line := stream.readline(LARGEST_LINE).rstrip(b"\r\n"):
                text = line.decode("utf-8", "replace")
                name, colon, value = text.partition(":")
                if text.startswith("#") or not colon:
                    continue
                if value.startswith("="):
                    keys[name] = value[1:]
                else:
                    fields[name.strip().lower()] = value.strip()
            start = stream.tell()
    except OSError:
        raise damaged() from None
    file = fields.get("data file", fields.get("datafile"))
    if file is None:
        return NrrdHeader(fields, keys, path, start)
    return NrrdHeader(fields, keys, beside(path, file), 0)


def damaged() -> ScanError:
    """Return the refusal of a file that is not whole."""
    return ScanError("not a readable NRRD file (truncated or damaged); copy or convert it again")


def check_nrrd(header: NrrdHeader) -> None:
    """Refuse a header without a geometry in the patient, and compressed voxels that are damaged.

    Raises:
        InputError: the geometry is missing or not in mm along the patient's axes.
        ScanError: compressed voxels are not whole.
    """
    missing = [name for name in GEOMETRY_FIELDS if name not in header.fields]
    if missing:
        raise InputError(
            f"the header has no field {' and no field '.join(map(repr, missing))}; convert the "
            "scan again from DICOM, or add the field if the geometry is known for certain"
        )
    if header.fields["space"].lower() not in ANATOMICAL_SPACES:
        raise InputError(
            "the header's 'space' does not name the patient's axes (as RAS, LAS and LPS do), so "
            "left and right are unknown; convert the scan again from DICOM"
        )
    if (units := header.fields.get("space units")) and set(units.split()) != {'"mm"'}:
        raise InputError("the header's 'space units' are not mm; write the file again in mm")
    _check_vectors(header.fields["space directions"], "space directions", 3)
    _check_vectors(header.fields["space origin"], "space origin", 1)
    encoding = header.fields.get("encoding", "").lower()
    if encoding in ("bzip2", "bz2"):
        raise InputError("bzip2 compression is not read; write the file again with gzip")
    if encoding in ("gzip", "gz"):
        try:
            for _ in unpacked(header.data, header.start):
                pass  # ITK reads on where the checksum says that voxels are damaged
        except (OSError, zlib.error):
            raise damaged() from None


def nrrd_segments(header: NrrdHeader) -> tuple[Segment, ...]:
    """Return the segments that Slicer named, in order.

    Before Slicer 4.11 each segment had a layer of its own, with value 1.
    Source: https://slicer.readthedocs.io/en/latest/developer_guide/modules/segmentations.html

    Raises:
        InputError: the segments are fractions of voxels, or a number of theirs is none.
    """
    if header.keys.get("Segmentation_MasterRepresentation", "").lower() == FRACTIONAL or (
        header.keys.get("Segmentation_SourceRepresentation", "").lower() == FRACTIONAL
    ):
        raise InputError("a fractional segmentation; export it as binary labelmap")
    stated: dict[int, dict[str, str]] = {}
    for key, value in header.keys.items():
        if match := SEGMENT_KEY.fullmatch(key):
            stated.setdefault(int(match[1]), {})[match[2]] = value
    try:
        return tuple(
            Segment(
                one.get("Name", ""),
                int(one.get("LabelValue", 1)),
                int(one.get("Layer", number if "LabelValue" not in one else 0)),
            )
            for number, one in sorted(stated.items())
        )
    except ValueError:
        raise damaged() from None


def _check_vectors(text: str, name: str, count: int) -> None:
    vectors = [vector.split(",") for vector in VECTOR.findall(text)]
    try:
        finite = all(isfinite(float(number)) for vector in vectors for number in vector)
    except ValueError:
        finite = False
    if not finite or [len(vector) for vector in vectors] != [3] * count:
        raise InputError(
            f"the header's {name!r} must hold {count} vectors of three numbers; convert the scan "
            "again from DICOM"
        )
