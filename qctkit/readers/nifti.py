"""NIfTI files: volumes in HU, masks and label images."""

import re
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from qctkit.contracts import FoundScan, Scan
from qctkit.errors import InputError, ScanError
from qctkit.geometry import Geometry
from qctkit.readers.image_file import ImageFile, Segment, scan_of, stated_unit
from qctkit.readers.quiet import quiet
from qctkit.units import Unit

SUFFIXES = (".nii", ".nii.gz")
PAIR_SUFFIXES = (".hdr", ".img")
HEADER_SIZES = (348, 540)
"""First number of an Analyze or NIfTI-1 header, and of a NIfTI-2 header."""
DISAGREEMENT_MM = 0.01
"""Difference of two affines' entries that is more than float32 rounding."""
STATED_UNIT = re.compile(r"unit: (.+)")
LIBRARY_LOGGER = "nibabel.global"
UNREADABLE = (
    *(ImageFileError, HeaderDataError, OSError, EOFError, ValueError, KeyError, zlib.error),
    *(MemoryError, OverflowError),  # a damaged size
)


class NiftiReader:
    """Reads ``.nii`` and ``.nii.gz`` files, and says what to do with a ``.hdr`` / ``.img`` pair."""

    name = "nifti"

    def claims(self, path: Path) -> bool:
        """Whether the path is a file that ends in ``.nii`` or ``.nii.gz``, or one of a pair."""
        return path.is_file() and (path.name.lower().endswith(SUFFIXES) or _is_of_pair(path))

    def find(self, path: Path) -> Sequence[FoundScan]:
        """Return the one scan of a NIfTI file.

        Raises:
            ScanError: it is one file of two.
        """
        if not path.name.lower().endswith(SUFFIXES):
            raise ScanError(
                "one file of a .hdr / .img pair, which is not read; convert it to one file: "
                "nibabel.save(nibabel.load('scan.hdr'), 'scan.nii.gz')"
            )
        return (FoundScan("NIfTI file", partial(read_nifti, path)),)


def read_nifti(path: Path) -> Scan:
    """Return the scan of a NIfTI file.

    Scaling is applied. The geometry is the sform, or the qform where there is no sform.

    Raises:
        ScanError: the file is damaged.
        InputError: it has no stated geometry, or is not one volume of HU.
    """
    return scan_of(read_nifti_image(path), "NIfTI")


def read_nifti_image(path: Path) -> ImageFile:
    """Return what a NIfTI file holds.

    Raises:
        ScanError: the file is damaged.
        InputError: it has no stated geometry, or is not one volume of numbers.
    """
    try:
        with quiet(LIBRARY_LOGGER):
            image = nibabel.load(path)
            if not isinstance(image, nibabel.Nifti1Image | nibabel.Nifti2Image):
                raise ScanError("not a single-file NIfTI image; convert it to .nii.gz")
            geometry = _geometry(image)
            notes = _disagreement(image.header)
            return ImageFile(_voxels(image)[None], geometry, _unit(image), _segments(image), notes)
    except UNREADABLE:
        raise ScanError(
            "not a readable NIfTI file (truncated or damaged); copy or convert it again"
        ) from None


def _is_of_pair(path: Path) -> bool:
    """Whether a file is a NIfTI or Analyze header, or the voxels beside one."""
    if path.suffix.lower() not in PAIR_SUFFIXES:
        return False
    try:
        with path.with_suffix(".hdr").open("rb") as stream:
            first = stream.read(4)
    except OSError:
        return False
    return any(int.from_bytes(first, order) in HEADER_SIZES for order in ("little", "big"))


def _geometry(image: Any) -> Geometry:
    """Return the geometry that the header states, with axes (k, j, i) = (d, h, w)."""
    shape = image.shape
    if len(shape) < 3 or any(n != 1 for n in shape[3:]):
        size = " x ".join(str(n) for n in shape)
        raise InputError(f"expected one 3D volume, got {size} voxels; split it into volumes first")
    header = image.header
    if header["qform_code"] == 0 and header["sform_code"] == 0:
        raise InputError(
            "the header states no position or orientation (qform_code = sform_code = 0); convert "
            "the scan again from DICOM, or set the sform if the orientation is known for certain"
        )
    unit = header.get_xyzt_units()[0]
    if unit not in ("mm", "unknown"):
        raise InputError(f"the header gives lengths in {unit}; write the file again in mm")
    affine = np.asarray(image.affine, dtype=np.float64)[:, [2, 1, 0, 3]]
    return Geometry((shape[2], shape[1], shape[0]), affine)


def _voxels(image: Any) -> NDArray[np.generic]:
    """Return the scaled voxels ``(D, H, W)``."""
    dtype = image.get_data_dtype()
    if dtype.fields is not None or dtype.kind not in "iuf":
        raise InputError("voxels are colours or complex numbers; expected one number per voxel")
    voxels = np.asarray(image.dataobj)
    if dtype.kind != "f" and np.issubdtype(voxels.dtype, np.floating):
        voxels = _whole(voxels, float(image.dataobj.inter))
    return voxels.reshape(voxels.shape[:3], order="F").T


def _whole(scaled: NDArray[np.floating[Any]], inter: float) -> NDArray[np.floating[Any]]:
    """Return scaled whole numbers as such where a slope in float32, such as 0.1, missed them."""
    rounded = np.rint(scaled)
    rounding = np.finfo(np.float32).eps * (abs(inter) + np.abs(scaled - inter).max())
    return rounded if np.abs(scaled - rounded).max() <= rounding else scaled


def _unit(image: Any) -> Unit:
    """Return the unit that qctkit's own exporter stated, else HU."""
    stated = STATED_UNIT.search(bytes(image.header["descrip"]).decode("ascii", "replace"))
    return stated_unit(stated[1].rstrip("\0 ")) if stated else Unit.HU


def _segments(image: Any) -> tuple[Segment, ...]:
    """Return the labels named in a Caret extension, which TotalSegmentator writes."""
    segments: list[Segment] = []
    for extension in image.header.extensions:
        try:
            table = ElementTree.fromstring(bytes(extension.get_content()).strip(b"\0 \r\n"))
            labels = [(one.text or "", int(one.attrib["Key"])) for one in table.iter("Label")]
        except (ElementTree.ParseError, TypeError, *UNREADABLE):
            continue  # an extension of another kind, which is no concern of ours
        segments.extend(Segment(name, value) for name, value in labels if value != 0)
    return tuple(segments)


def _disagreement(header: Any) -> tuple[str, ...]:
    """Return a note where the header states two geometries that differ."""
    qform, sform = header.get_qform(coded=True)[0], header.get_sform(coded=True)[0]
    if qform is None or sform is None:
        return ()
    difference = float(np.abs(qform - sform).max())
    if difference <= DISAGREEMENT_MM:
        return ()
    return (f"qform and sform differ by up to {difference:.3g} mm; the sform is used",)
