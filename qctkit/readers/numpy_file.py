"""NumPy files that state their affine."""

import zipfile
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qctkit.contracts import FoundScan, Scan
from qctkit.errors import InputError, ScanError
from qctkit.geometry import Geometry
from qctkit.readers.image_file import ImageFile, scan_of
from qctkit.units import Unit

SUFFIXES = (".npz", ".npy")
HOW_TO_SAVE = "numpy.savez_compressed('scan.npz', voxels=voxels, affine=affine)"
UNREADABLE = (
    *(OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error, MemoryError),
    RuntimeError,  # an encrypted archive
    TypeError,  # a .npy file under the name of a .npz
)


class NumpyReader:
    """Reads ``.npz`` files of ``voxels``, ``affine`` and, where it is not HU, ``unit``.

    ``voxels`` is ``(D, H, W)``; ``affine`` is 4 x 4 and maps ``(d, h, w, 1)`` at voxel centres to
    RAS in mm; ``unit`` is text such as ``mg/cm3 K2HPO4``.
    """

    name = "numpy"

    def claims(self, path: Path) -> bool:
        """Whether the path is a file that ends in ``.npz`` or ``.npy``."""
        return path.suffix.lower() in SUFFIXES and path.is_file()

    def find(self, path: Path) -> Sequence[FoundScan]:
        """Return the one scan of a ``.npz`` file.

        Raises:
            ScanError: it is a ``.npy`` file, which has no room for an affine.
        """
        if path.suffix.lower() == ".npy":
            raise ScanError(
                f"a .npy file states no geometry; save it with its affine: {HOW_TO_SAVE}, where "
                "affine is 4 x 4 and maps (d, h, w, 1) at voxel centres to RAS in mm"
            )
        return (FoundScan("NumPy file", partial(read_numpy, path)),)


def read_numpy(path: Path) -> Scan:
    """Return the scan of a ``.npz`` file.

    Raises:
        ScanError: the file is damaged.
        InputError: an array is missing or of a wrong shape or type, or the voxels are not HU.
    """
    return scan_of(read_numpy_image(path), "NumPy")


def read_numpy_image(path: Path) -> ImageFile:
    """Return what a ``.npz`` file holds.

    Raises:
        ScanError: the file is damaged.
        InputError: an array is missing or of a wrong shape or type.
    """
    arrays = _arrays(path)
    voxels, affine = arrays["voxels"], arrays["affine"]
    if voxels.ndim != 3 or voxels.dtype.kind not in "biuf":
        shape = " x ".join(str(n) for n in voxels.shape)
        raise InputError(f"'voxels' must be (D, H, W) numbers, got {shape} of type {voxels.dtype}")
    if affine.shape != (4, 4) or affine.dtype.kind not in "iuf":
        shape = " x ".join(str(n) for n in affine.shape)
        raise InputError(f"'affine' must be 4 x 4 numbers, got {shape} of type {affine.dtype}")
    if not np.array_equal(affine[3], [0, 0, 0, 1]):
        raise InputError("the last row of 'affine' must be 0, 0, 0, 1")
    d, h, w = voxels.shape
    return ImageFile(voxels[None], Geometry((d, h, w), affine), _unit(arrays.get("unit")))


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        # Pickles could run code, so arrays of objects are not loaded.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("voxels", "affine", "unit") if name in file}
    except UNREADABLE:
        raise ScanError(
            "not a readable .npz file of plain arrays (truncated, damaged or pickled); save it "
            f"again: {HOW_TO_SAVE}"
        ) from None
    missing = [name for name in ("voxels", "affine") if name not in arrays]
    if missing:
        raise InputError(
            f"the file has no array {' and no array '.join(map(repr, missing))}; save it as "
            f"{HOW_TO_SAVE}"
        )
    return arrays


def _unit(stated: NDArray[Any] | None) -> Unit:
    if stated is None:
        return Unit.HU
    try:
        return Unit(str(stated.item()))
    except ValueError:
        known = ", ".join(unit.value for unit in Unit)
        raise InputError(f"'unit' must be one of: {known}") from None
