from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

REAL_DATA = Path(__file__).parents[3] / "shared" / "data"
ROWS, COLUMNS = 4, 5


@pytest.fixture(scope="session")
def real_data() -> Path:
    if not REAL_DATA.is_dir():
        pytest.skip("the real scans (../shared/data) are not here")
    return REAL_DATA


def ct_slice(number: int, **changes: Any) -> Dataset:
    """Return a CT slice of 2.5 mm steps; pixels count up, so that no two slices are equal."""
    slice_ = Dataset()
    slice_.file_meta = FileMetaDataset()
    slice_.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    slice_.SOPClassUID = CTImageStorage
    slice_.SOPInstanceUID = generate_uid()
    slice_.SeriesInstanceUID = "1.2.3"
    slice_.Modality = "CT"
    slice_.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    slice_.InstanceNumber = number
    slice_.ImagePositionPatient = [-10.0, -20.0, 100.0 + 2.5 * number]
    slice_.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    slice_.PixelSpacing = [0.7, 0.5]
    slice_.RescaleSlope, slice_.RescaleIntercept = 1, -1024
    slice_.Rows, slice_.Columns = ROWS, COLUMNS
    slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
    slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit = 16, 16, 15
    slice_.PixelRepresentation = 1
    for keyword, value in changes.items():
        setattr(slice_, keyword, value)
    pixels = np.arange(slice_.Rows * slice_.Columns, dtype="<i2") + 100 * number
    slice_.PixelData = pixels.tobytes()
    slice_.file_meta.MediaStorageSOPClassUID = slice_.SOPClassUID
    slice_.file_meta.MediaStorageSOPInstanceUID = slice_.SOPInstanceUID
    return slice_


@pytest.fixture
def write_slice(tmp_path: Path) -> Callable[..., Path]:
    """Write one slice into ``tmp_path / "series"`` under a name that says nothing."""

    def write(number: int, name: str = "", **changes: Any) -> Path:
        # Multiplying by 7 modulo 11 shuffles the names against the positions.
        path = tmp_path / "series" / (name or f"{number * 7 % 11:02d}")
        path.parent.mkdir(parents=True, exist_ok=True)
        ct_slice(number, **changes).save_as(path, enforce_file_format=True)
        return path

    return write


@pytest.fixture
def write_series(write_slice: Callable[..., Path]) -> Callable[..., Path]:
    """Write slices 1 to 6, all with the same changes, and return their folder."""

    def write(**changes: Any) -> Path:
        files = [write_slice(number, **changes) for number in range(1, 7)]
        return files[0].parent

    return write
