"""``qctkit calibrate``: a scan's calibration, from what the user states and the scan shows."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qctkit.calibration import Calibration
from qctkit.errors import InputError, ScanError
from qctkit.geometry import Geometry
from qctkit.phantoms.choice import CalibrationChoice
from qctkit.phantoms.rods import RodReading, read_rods
from qctkit.readers.masks import read_labels
from qctkit.units import Material
from qctkit.volume import Volume


def calibrate(
    choice: CalibrationChoice,
    volume: Volume | None = None,
    *,
    rods_mask: Path | None = None,
    scanned_kvp: float | None = None,
    convert_to: Material | None = None,
    k2hpo4_over_ha: float | None = None,
) -> Calibration | None:
    """Return the calibration of a scan, None where the choice states none.

    Args:
        choice: how it is to be calibrated.
        volume: the whole scan; needed for a mask of rods and for internal calibration.
        rods_mask: image of the rods' labels on the scan's grid.
        scanned_kvp: tube voltage in the scan's header, where it says so.
        convert_to: reference material to convert to.
        k2hpo4_over_ha: factor for that; without it Goodsitt's for the tube voltage.

    Raises:
        InputError: the mask, the rods or the tissues cannot be used, or the line not be converted.
    """
    labels = _labels(rods_mask, volume.geometry) if rods_mask and volume else None
    found = choice.calibration(volume, labels, scanned_kvp)
    if found is None or convert_to is None:
        return found
    return found.converted_to(convert_to, k2hpo4_over_ha)


def rods_in_mask(
    choice: CalibrationChoice, volume: Volume | None, rods_mask: Path | None
) -> tuple[RodReading, ...]:
    """Return what the scan shows of each rod in the mask; nothing where there is no mask.

    Raises:
        InputError: the mask or its rods cannot be read.
    """
    if choice.phantom is None or volume is None or rods_mask is None:
        return ()
    return read_rods(volume, _labels(rods_mask, volume.geometry), choice.phantom)


def _labels(path: Path, geometry: Geometry) -> NDArray[np.int16]:
    try:
        return read_labels(path, geometry)
    except InputError as error:
        raise ScanError(f"{path}: {error}") from error
