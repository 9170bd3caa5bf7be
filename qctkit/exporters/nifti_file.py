"""One volume or mask as a compressed NIfTI-1 file, the same bytes each time."""

import gzip
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from qctkit.geometry import FloatArray, Geometry
from qctkit.volume import Mask, Volume

HEADER_BYTES = 352
"""Header of 348 bytes and four zeros that say: no extension."""
SCANNER_CODE = 1
QFORM_TOLERANCE = 1e-4
"""Largest difference at which the qform, a rotation in float32, still says the same."""


def write_volume(path: Path, volume: Volume) -> Path:
    """Write the voxels exactly, int16 or float32, and return the path."""
    return _write(path, volume.voxels, volume.geometry, f"qctkit volume, unit: {volume.unit}")


def write_mask(path: Path, mask: Mask, geometry: Geometry) -> Path:
    """Write a mask as uint8, 0 and 1, and return the path."""
    return _write(path, mask.astype(np.uint8), geometry, "qctkit mask, 1 is inside")


def _write(path: Path, voxels: NDArray[np.generic], geometry: Geometry, description: str) -> Path:
    little_endian = voxels.astype(voxels.dtype.newbyteorder("<"), order="C", copy=False)
    header = _header(little_endian.dtype, geometry, description)
    with (
        path.open("wb") as stream,
        # No name and no time in the gzip header, so that equal content gives equal bytes.
        gzip.GzipFile(filename="", mode="wb", fileobj=stream, compresslevel=6, mtime=0) as zipped,
    ):
        zipped.write(header.binaryblock.ljust(HEADER_BYTES, b"\0"))
        # (D, H, W) in C order is NIfTI's (i, j, k) in Fortran order: the same bytes.
        zipped.write(little_endian.data.cast("B"))
    return path


def _header(dtype: np.dtype[Any], geometry: Geometry, description: str) -> Any:
    depth, height, width = geometry.shape
    affine = geometry.affine[:, [2, 1, 0, 3]]
    new_header: Any = nibabel.Nifti1Header  # its methods carry no types
    header = new_header(endianness="<")
    header.set_data_dtype(dtype)
    header.set_data_shape((width, height, depth))
    header.set_xyzt_units("mm")
    header["vox_offset"] = HEADER_BYTES
    header["scl_slope"], header["scl_inter"] = 1, 0
    header["descrip"] = description.encode("ascii")
    header.set_sform(affine, SCANNER_CODE)
    _set_qform(header, affine)
    return header


def _set_qform(header: Any, affine: FloatArray) -> None:
    """Set the voxel sizes, and the qform where a rotation can express the affine."""
    header.set_qform(affine, SCANNER_CODE)
    if not np.allclose(header.get_qform(), affine, rtol=1e-6, atol=QFORM_TOLERANCE):
        header["qform_code"] = 0
