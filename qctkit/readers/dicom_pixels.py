"""The pixels of a series in HU."""

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array
from pydicom.uid import RLELossless

from qctkit.errors import ScanError
from qctkit.readers.dicom_files import open_again
from qctkit.readers.dicom_header import DAMAGED, LIBRARY_LOGGER, SliceHeader, read_dataset
from qctkit.readers.hounsfield_range import LARGEST_HU, check_range
from qctkit.readers.quiet import quiet
from qctkit.volume import INT16_RANGE, Voxels

PIXEL_TAGS: list[str] = [
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "NumberOfFrames",
    "PixelData",
]


def read_voxels(slices: Sequence[SliceHeader]) -> Voxels:
    """Return HU ``(D, H, W)`` of ordered slices, as int16 unless one slice needs float32.

    Raises:
        ScanError: a slice's pixels are truncated or cannot be decoded; the slice is named.
        InputError: values are not HU.
    """
    voxels: Voxels = np.empty((len(slices), *slices[0].matrix), dtype=np.int16)
    for index, (one, stored) in enumerate(zip(slices, _stored_values(slices), strict=True)):
        values = _hounsfield(stored, one.slope, one.intercept)
        check_range(values)
        if voxels.dtype == np.int16 and not _fits_int16(values):
            voxels = voxels.astype(np.float32)
        voxels[index] = values
    return voxels


def _stored_values(slices: Sequence[SliceHeader]) -> Iterator[NDArray[np.generic]]:
    """Give the stored values of each slice, decoding a multi-frame file frame by frame."""
    files = [file for file, _ in groupby(slices, lambda one: one.file)]
    for (_, of_file), stream in zip(
        groupby(slices, lambda one: one.file), open_again(files), strict=True
    ):
        dataset: Dataset | None = None
        for one in of_file:
            try:
                dataset = dataset or read_dataset(stream, PIXEL_TAGS)
                pixels = _decoded(dataset, one.frame)
            except (ScanError, *DAMAGED):
                # What the decoders raise may quote header values.
                raise ScanError(
                    f"the pixels of slice {one} are truncated or cannot be decoded; copy the "
                    "series again"
                ) from None
            if pixels.shape != one.matrix:
                raise ScanError(
                    f"slice {one} is not one grey image; export the series again as CT images"
                )
            yield pixels


def _decoded(dataset: Dataset, frame: int | None) -> NDArray[np.generic]:
    # pylibjpeg's RLE decoder panics on damage, past every handler for exceptions.
    plugin = "pydicom" if dataset.file_meta.TransferSyntaxUID == RLELossless else ""
    with quiet(LIBRARY_LOGGER):
        return pixel_array(dataset, index=frame, decoding_plugin=plugin, raw=True)


def _hounsfield(
    stored: NDArray[np.generic], slope: float, intercept: float
) -> NDArray[np.int32] | NDArray[np.float64]:
    if slope == 1 and intercept.is_integer() and abs(intercept) <= LARGEST_HU:
        return stored.astype(np.int32) + np.int32(intercept)
    return stored.astype(np.float64) * slope + intercept


def _fits_int16(values: NDArray[np.int32] | NDArray[np.float64]) -> bool:
    low, high = INT16_RANGE
    if values.min() < low or values.max() > high:
        return False
    return values.dtype == np.int32 or bool(np.array_equal(values, np.round(values)))
