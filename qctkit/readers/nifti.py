"""NIfTI files: volumes in HU and femur masks."""

import re
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from qctkit.contracts import FoundScan, Scan
from qctkit.errors import InputError, ScanError
from qctkit.geometry import FloatArray, Geometry
from qctkit.readers.hounsfield_range import check_range
from qctkit.readers.quiet import quiet
from qctkit.units import Unit
from qctkit.volume import Mask, Volume, compact

SUFFIXES = (".nii", ".nii.gz")
DISAGREEMENT_MM = 0.01
"""Difference of two affines' entries that is more than float32 rounding."""
STATED_UNIT = re.compile(r"unit: (.+)")
LIBRARY_LOGGER = "nibabel.global"
UNREADABLE = (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, zlib.error)


class NiftiReader:
    """Reads ``.nii`` and ``.nii.gz`` files."""

    name = "nifti"

    def claims(self, path: Path) -> bool:
        """Whether the path is a file that ends in ``.nii`` or ``.nii.gz``."""
        return path.name.lower().endswith(SUFFIXES) and path.is_file()

    def find(self, path: Path) -> Sequence[FoundScan]:
        """Return the one scan of a NIfTI file."""
        return (FoundScan("NIfTI file", partial(read_nifti, path)),)


def read_nifti(path: Path) -> Scan:
    """Return the scan of a NIfTI file.

    Scaling is applied. The geometry is the sform, or the qform where there is no sform.

    Raises:
        ScanError: the file is damaged, has no stated geometry, or is not one volume of HU.
    """
    image = _load(path)
    geometry = _geometry(image)
    voxels = _voxels(image)
    with quiet():  # an all-NaN array, which the volume refuses
        check_range(voxels)
    volume = Volume(compact(voxels), geometry, _unit(image))
    size = " x ".join(str(n) for n in volume.voxels.shape)
    notes = _disagreement(image.header)
    return Scan(volume, description=f"NIfTI, {size} voxels (D, H, W)", notes=notes)


def read_mask(path: Path, geometry: Geometry) -> Mask:
    """Return a boolean mask ``(D, H, W)`` from a NIfTI file of one label on the given grid.

    Raises:
        ScanError: the file is damaged, lies on another grid, is empty or holds several labels.
    """
    voxels = _on_grid(path, geometry)
    _check_one_label(voxels)
    return np.ascontiguousarray(voxels != 0)


def read_labels(path: Path, geometry: Geometry) -> NDArray[np.int16]:
    """Return labels ``(D, H, W)``, 0 outside, from a NIfTI file on the given grid.

    Raises:
        ScanError: the file is damaged, lies on another grid, or holds a value that is no label.
    """
    voxels = _on_grid(path, geometry)
    labels = voxels.astype(np.int16)
    if not np.array_equal(labels, voxels):
        raise ScanError("labels are whole numbers from 0; this file holds other values")
    return np.ascontiguousarray(labels)


def _on_grid(path: Path, geometry: Geometry) -> NDArray[np.generic]:
    """Return the voxels of a mask that lies on a scan's grid."""
    if not path.is_file():
        raise ScanError("there is no such mask file; check the path")
    image = _load(path)
    grid = _geometry(image)
    voxels = _voxels(image)
    if not grid.matches(geometry):
        raise ScanError(
            f"the mask must lie on the grid of its scan; the mask has {_in_words(grid)}, "
            f"the scan {_in_words(geometry)}; resample the mask to the scan (nearest neighbour)"
        )
    return voxels


def _load(path: Path) -> Any:
    """Open a NIfTI file without reading its voxels."""
    try:
        with quiet(LIBRARY_LOGGER):
            image = nibabel.load(path)
    except UNREADABLE:
        raise _damaged() from None
    if not isinstance(image, nibabel.Nifti1Image | nibabel.Nifti2Image):
        raise ScanError("not a single-file NIfTI image; convert it to .nii.gz")
    return image


def _damaged() -> ScanError:
    return ScanError("not a readable NIfTI file (truncated or damaged); copy or convert it again")


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


def _disagreement(header: Any) -> tuple[str, ...]:
    """Return a note where the header states two geometries that differ."""
    qform, sform = header.get_qform(coded=True)[0], header.get_sform(coded=True)[0]
    if qform is None or sform is None:
        return ()
    difference = float(np.abs(qform - sform).max())
    if difference <= DISAGREEMENT_MM:
        return ()
    return (f"qform and sform differ by up to {difference:.3g} mm; the sform is used",)


def _voxels(image: Any) -> NDArray[np.generic]:
    """Return the scaled voxels ``(D, H, W)``."""
    dtype = image.get_data_dtype()
    if dtype.fields is not None or dtype.kind not in "iuf":
        raise InputError("voxels are colours or complex numbers; expected one number per voxel")
    try:
        with quiet(LIBRARY_LOGGER):
            voxels = np.asarray(image.dataobj)
    except UNREADABLE:
        raise _damaged() from None
    return voxels.reshape(voxels.shape[:3], order="F").T


def _unit(image: Any) -> Unit:
    """Return the unit that qctkit's own exporter stated, else HU."""
    stated = STATED_UNIT.search(bytes(image.header["descrip"]).decode("ascii", "replace"))
    known = {unit.value: unit for unit in Unit}
    return known.get(stated[1].rstrip("\0 "), Unit.HU) if stated else Unit.HU


def _check_one_label(voxels: NDArray[np.generic]) -> None:
    labels = [float(label) for label in np.unique(voxels) if label != 0]
    if not labels:
        raise ScanError("the mask is empty; give a mask of the femur")
    if len(labels) > 1:
        first = ", ".join(f"{label:g}" for label in labels[:5])
        raise ScanError(
            f"a mask holds 0 and one other value, this one {len(labels)} ({first}"
            f"{', ...' if len(labels) > 5 else ''}); write the femur's label to a file of its own"
        )
    if not labels[0].is_integer():
        raise ScanError(f"the mask's value is {labels[0]:g}; expected a whole number")


def _in_words(geometry: Geometry) -> str:
    size = " x ".join(str(n) for n in geometry.shape)
    spacing = " x ".join(f"{mm:.4g}" for mm in geometry.spacing_mm)
    corner = ", ".join(f"{mm:.2f}" for mm in geometry.affine[:3, 3])
    axes = _axes(geometry.directions)
    return f"{size} voxels (D, H, W) of {spacing} mm from ({corner}) mm RAS along {axes}"


def _axes(directions: FloatArray) -> str:
    """Return the anatomical directions that d, h, w run to, such as ``S, A, R``."""
    letters = ("RL", "AP", "SI")
    nearest = np.abs(directions).argmax(axis=0)
    return ", ".join(
        letters[world][int(directions[world, axis] < 0)] for axis, world in enumerate(nearest)
    )
