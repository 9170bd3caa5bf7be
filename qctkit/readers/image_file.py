"""What an image file of any format holds, before it is a scan or a mask."""

from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray

from qctkit.contracts import Scan
from qctkit.errors import InputError
from qctkit.geometry import Geometry
from qctkit.readers.hounsfield_range import check_not_labels, check_range
from qctkit.readers.quiet import quiet
from qctkit.units import Unit
from qctkit.volume import Volume, Voxels


@dataclass(frozen=True)
class Segment:
    """A label that a file names: the voxels of one value in one layer.

    The name is free text, which may identify a patient: it is compared and never shown.
    """

    name: str = field(repr=False)
    value: int
    layer: int = 0


@dataclass(frozen=True, eq=False)
class ImageFile:
    """The content of an image file.

    Attributes:
        layers: stored numbers ``(L, D, H, W)`` with scaling applied; L is 1 except for colours,
            vectors and segmentations whose segments overlap.
        geometry: where voxels ``(D, H, W)`` lie, as the file states it.
        unit: the unit that qctkit stated when it wrote the file, else HU.
        segments: labels that the file names, none in a scan.
        notes: what the user should know of how it was read.
    """

    layers: NDArray[np.generic]
    geometry: Geometry
    unit: Unit = Unit.HU
    segments: tuple[Segment, ...] = ()
    notes: tuple[str, ...] = ()


def scan_of(image: ImageFile, format_name: str) -> Scan:
    """Return the scan that an image file holds.

    Raises:
        InputError: it is a segmentation or a mask, has several numbers per voxel, or holds values
            that are not HU.
    """
    if image.segments:
        raise InputError("this is a segmentation, not a scan; give it in the column 'mask'")
    if len(image.layers) != 1:
        raise InputError(
            f"{len(image.layers)} numbers per voxel (colours, vectors or several volumes); "
            "expected one number per voxel"
        )
    voxels = image.layers[0]
    with quiet():  # an all-NaN array, which the volume refuses
        check_range(voxels)
    check_not_labels(voxels)
    volume = Volume(cast(Voxels, voxels), image.geometry, image.unit)  # it makes them compact
    size = " x ".join(str(n) for n in volume.voxels.shape)
    return Scan(volume, description=f"{format_name}, {size} voxels (D, H, W)", notes=image.notes)


def stated_unit(text: str) -> Unit:
    """Return the unit of that spelling; HU where the text is none."""
    known = {unit.value: unit for unit in Unit}
    return known.get(text.strip(), Unit.HU)
