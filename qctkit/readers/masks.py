"""Femur masks that the user gives: files of one label, TotalSegmentator's and Slicer's."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qctkit.cohort import Side
from qctkit.errors import InputError, ScanError
from qctkit.geometry import Geometry
from qctkit.readers.image_file import ImageFile, Segment
from qctkit.readers.mask_grid import place
from qctkit.readers.metaimage import read_metaimage_image
from qctkit.readers.nifti import read_nifti_image
from qctkit.readers.nrrd import read_nrrd_image
from qctkit.readers.numpy_file import read_numpy_image
from qctkit.volume import Mask

FORMATS: dict[tuple[str, ...], Callable[[Path], ImageFile]] = {
    (".nii", ".nii.gz"): read_nifti_image,
    (".nrrd", ".nhdr"): read_nrrd_image,
    (".mha", ".mhd"): read_metaimage_image,
    (".npz",): read_numpy_image,
}
FOLDER_FILES = {"femur_left": "femur_left.nii.gz", "femur_right": "femur_right.nii.gz"}
"""What TotalSegmentator writes into its output folder, by label."""

TOTAL_V2 = {"femur_left": 75, "femur_right": 76}
"""Values in TotalSegmentator 2's task "total", for files that lost the names.

Source: https://github.com/wasserth/TotalSegmentator, totalsegmentator/map_to_binary.py,
class_map["total"] (its version 1 had 88 and 89, its task "total_mr" has 36 and 37).
"""

SIDES = {side.value: side for side in Side}
KNOWN_NAMES = {"femur", *(f"femur {one}" for one in SIDES), *(f"{one} femur" for one in SIDES)}
"""Names that may be shown, since they identify nobody; others are free text."""

SHOWN_LABELS = 20
LARGEST_LABEL = 32767


@dataclass(frozen=True, eq=False)
class GivenMask:
    """A mask of one label.

    Attributes:
        voxels: ``(D, H, W)`` on the grid of the scan, not empty.
        side: side that the name of the label or of the file says, else None.
        notes: what the user should know of how it was chosen.
    """

    voxels: Mask
    side: Side | None = None
    notes: tuple[str, ...] = ()


def read_masks(path: Path, geometry: Geometry, label: str | None = None) -> tuple[GivenMask, ...]:
    """Return masks on the grid of a scan, from a file or from a folder of TotalSegmentator.

    ``label`` chooses by name (``femur_left``, in any case and with any separators) or by value
    (``75``), and several with ``+`` between them; those that are empty are left out. Without it
    a file must hold one label; a folder gives both femora.

    Raises:
        ScanError: a file is missing or damaged, lies on another grid, or holds no such label.
        InputError: it has no stated geometry.
    """
    wanted = [one.strip() for one in label.split("+")] if label else []
    if path.is_dir():
        masks = [mask for file in _folder_files(path, wanted) for mask in _masks(file, geometry)]
    elif path.is_file():
        masks = _masks(path, geometry, wanted)
    else:
        raise ScanError("there is no such mask file; check the path")
    if not masks:
        raise ScanError("the mask is empty; give a mask of the femur")
    return tuple(masks)


def read_labels(path: Path, geometry: Geometry) -> NDArray[np.int16]:
    """Return labels ``(D, H, W)``, 0 outside, of a file of one layer on the grid of a scan.

    Raises:
        ScanError: the file is missing or damaged, lies on another grid, or holds no labels.
        InputError: it has no stated geometry, or a value is not a whole number.
    """
    if not path.is_file():
        raise ScanError("there is no such mask file; check the path")
    image = _read(path)
    if len(image.layers) != 1:
        raise ScanError(f"the mask has {len(image.layers)} layers; save it with one")
    if any(not 0 <= segment.value <= LARGEST_LABEL for segment in _present(image)):
        raise ScanError(f"labels are whole numbers from 0 to {LARGEST_LABEL}")
    return place(image.layers[0].astype(np.int16), image.geometry, geometry)


def _folder_files(folder: Path, wanted: Sequence[str]) -> list[Path]:
    """Return the files of the wanted femora, or of both.

    Raises:
        ScanError: something else is wanted, or none is there.
    """
    names = [_plain(name).replace(" ", "_") for name in wanted] or list(FOLDER_FILES)
    if not set(names) <= set(FOLDER_FILES):
        raise ScanError(f"a folder gives the labels {' and '.join(FOLDER_FILES)} only")
    files = [FOLDER_FILES[name] for name in names]
    there = [folder / file for file in files if (folder / file).is_file()]
    if not there:
        raise ScanError(
            f"the folder holds no {' or '.join(files)}; give a mask file, or the output folder of "
            "TotalSegmentator"
        )
    return there


def _masks(path: Path, geometry: Geometry, wanted: Sequence[str] = ()) -> list[GivenMask]:
    """Return the wanted masks of a file, or its only one; empty ones are left out."""
    image = _read(path)
    segments = _present(image)
    if wanted:
        chosen = [_choose(one, image.segments, segments) for one in wanted]
    elif len(segments) > 1:
        raise ScanError(
            f"the mask holds {len(segments)} labels: {_listed(segments)}; choose one by its value "
            "or name in the column 'mask_label'"
        )
    else:
        chosen = [(one, ()) for one in segments]
    masks = []
    for segment, notes in chosen:
        voxels = image.layers[segment.layer] == segment.value
        if voxels.any():
            side = _side(segment.name) or _side(path.name)
            masks.append(GivenMask(place(voxels, image.geometry, geometry), side, notes))
    if wanted and not masks:
        raise ScanError(f"the mask has no voxels of this label; it holds {_listed(segments)}")
    return masks


def _read(path: Path) -> ImageFile:
    for suffixes, read in FORMATS.items():
        if path.name.lower().endswith(suffixes):
            return read(path)
    raise ScanError("the mask must be a NIfTI, NRRD, MetaImage or .npz file")


def _present(image: ImageFile) -> list[Segment]:
    """Return the labels that have voxels, with their names.

    Raises:
        InputError: a value is not a whole number, or a name belongs to a layer that is not there.
    """
    names = {(one.layer, one.value): one.name for one in image.segments}
    if any(not 0 <= one.layer < len(image.layers) for one in image.segments):
        raise InputError("the segments do not fit the voxels; save the segmentation again")
    present = []
    for number, layer in enumerate(image.layers):
        for value in np.unique(layer[layer != 0]):
            if not float(value).is_integer():
                raise InputError(f"a mask holds whole numbers, this one {float(value):g}")
            present.append(Segment(names.get((number, int(value)), ""), int(value), number))
    return present


def _choose(
    wanted: str, named: Sequence[Segment], present: Sequence[Segment]
) -> tuple[Segment, tuple[str, ...]]:
    """Return the label of a name or value, which need not have voxels, and a note.

    Raises:
        ScanError: there is none, or several.
    """
    matching = [one for one in named if _plain(one.name) == _plain(wanted)]
    if not matching and wanted.isdecimal():
        matching = [one for one in present if one.value == int(wanted)]
    value = TOTAL_V2.get(_plain(wanted).replace(" ", "_"))
    if value is not None and not named and len(present) > 1:
        note = f"the mask names no labels: {value} was taken, as in TotalSegmentator 2"
        return Segment(wanted, value), (note,)
    if len(matching) != 1:
        raise ScanError(
            f"the mask holds {'several labels' if matching else 'no label'} {wanted}; it holds "
            f"{_listed(present)}"
        )
    return matching[0], ()


def _listed(segments: Sequence[Segment]) -> str:
    """Return values, with the names that are known to be no one's own."""
    shown = [
        f"{one.value} ({_plain(one.name)})" if _plain(one.name) in KNOWN_NAMES else str(one.value)
        for one in segments[:SHOWN_LABELS]
    ]
    return ", ".join(shown or ["none"]) + (", ..." if len(segments) > SHOWN_LABELS else "")


def _side(name: str) -> Side | None:
    """Return the side of a femur's name, such as ``femur_left.nii.gz`` or ``Left femur``."""
    words = _plain(name).split()
    said = [side for word, side in SIDES.items() if word in words]
    return said[0] if "femur" in words and len(said) == 1 else None


def _plain(name: str) -> str:
    """Return a name in lower case with single spaces for separators."""
    return " ".join(re.split(r"[\W_]+", name.casefold())).strip()
