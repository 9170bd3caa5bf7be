"""One small cohort, trained and augmented once through the command line, shared by all tests."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from qctkit.cli.main import run
from qctkit.volume import Volume

WANTED = 2
AUGMENT = (
    "--plugin", "femur-density", "-n", f"{WANTED}", "--max-candidates", "4", "--seed", "1",
)  # fmt: skip

# Every family that is trained by default, for few passes: what commands do is the same after 40.
# Sex must be read, so that the baseline can be asked for it.
TRAINING = """
folds = 2
[network.sex-network]
epochs = 20
[network.age-weight-network]
epochs = 2
[network.reader-network]
epochs = 2
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def qctkit(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run the command line in this process."""

    def command(*arguments: object) -> Ended:
        code = run([str(one) for one in arguments])
        return Ended(code, *capsys.readouterr())

    return command


@pytest.fixture
def refused(qctkit: Callable[..., Ended], tmp_path: Path) -> Callable[..., str]:
    """Run a command that must be refused as bad input, and return its one message."""

    def command(*arguments: object) -> str:
        before = _tree(tmp_path)
        ended = qctkit(*arguments)
        assert ended.code == 2
        assert ended.err.count("Error:") == 1
        assert "Traceback" not in ended.err
        assert _tree(tmp_path) == before
        return ended.err[ended.err.index("Error:") :]

    return command


def _tree(folder: Path) -> dict[Path, bytes | None]:
    return {one: one.read_bytes() if one.is_file() else None for one in folder.rglob("*")}


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workplace")


@pytest.fixture(scope="session")
def real(workplace: Path) -> Path:
    """Eight simulated subjects."""
    path = workplace / "real.h5"
    assert run(["simulate", "-o", f"{path}", "--subjects", "8", "--spacing-mm", *"433"]) == 0
    return path


@pytest.fixture(scope="session")
def predictors(workplace: Path, real: Path) -> Path:
    path, config = workplace / "predictors", workplace / "train.toml"
    config.write_text(TRAINING)
    given = ("--config", f"{config}", "--workers", "1")
    assert run(["train", f"{real}", "-o", f"{path}", *given]) == 0
    return path


@pytest.fixture(scope="session")
def onnx(workplace: Path, predictors: Path) -> Path:
    path = workplace / "onnx"
    assert run(["export", f"{predictors}", "-o", f"{path}"]) == 0
    return path


@pytest.fixture(scope="session")
def augment(real: Path, predictors: Path) -> tuple[str, ...]:
    """Return the arguments of the run that made ``made``, but for its output."""
    return ("augment", f"{real}", "--predictors", f"{predictors}", *AUGMENT)


@pytest.fixture(scope="session")
def made(workplace: Path, augment: tuple[str, ...]) -> Path:
    path = workplace / "made.h5"
    assert run([*augment, "-o", f"{path}"]) in (0, 1)
    return path


@pytest.fixture(scope="session")
def nifti(workplace: Path, real: Path) -> Path:
    """The real cohort as NIfTI files."""
    path = workplace / "nifti"
    assert run(["convert", f"{real}", "-o", f"{path}"]) == 0
    return path


@pytest.fixture
def write_dicom() -> Callable[..., Path]:
    return _write_dicom


def _write_dicom(
    folder: Path, volume: Volume, leave_out: int | None = None, **changes: object
) -> Path:
    """Write an axis-aligned volume as a DICOM series of a woman of 61 years and 55 kg."""
    folder.mkdir(parents=True)
    affine, spacing = volume.geometry.affine, volume.spacing_mm
    to_lps = np.array([-1.0, -1.0, 1.0])
    along = to_lps[:, None] * affine[:3, :3] / np.asarray(spacing)
    for number, pixels in enumerate(volume.voxels):
        if number == leave_out:
            continue
        one = Dataset()
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, generate_uid()
        one.SeriesInstanceUID, one.Modality, one.InstanceNumber = "1.2.3", "CT", number + 1
        one.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        one.PatientSex, one.PatientAge, one.PatientWeight = "F", "061Y", "55"
        corner = to_lps * (affine @ [number, 0, 0, 1])[:3]
        one.ImagePositionPatient = [round(float(x), 6) for x in corner]
        one.ImageOrientationPatient = [round(float(x), 6) for x in (*along[:, 2], *along[:, 1])]
        one.PixelSpacing = [float(spacing[1]), float(spacing[2])]
        one.RescaleSlope, one.RescaleIntercept = 1, 0
        one.Rows, one.Columns = pixels.shape
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
        one.PixelData = pixels.astype("<i2").tobytes()
        for keyword, value in changes.items():
            setattr(one, keyword, value)
        one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID
        one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
        one.save_as(folder / f"{number:03d}.dcm", enforce_file_format=True)
    return folder
