import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest

from qctkit.errors import ScanError
from qctkit.geometry import Geometry
from qctkit.readers.choose import find_scans
from qctkit.readers.nifti import NiftiReader
from qctkit.units import Unit

AFFINE = np.array([[-0.5, 0, 0, 10], [0, 0.7, 0, 20], [0, 0, 2.5, -30], [0, 0, 0, 1.0]])
VOXELS = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
GRID = Geometry((4, 3, 2), AFFINE[:, [2, 1, 0, 3]])


def read_nifti_file(path: Path):
    return [found.load() for found in find_scans(path, [NiftiReader()])]


def write(path: Path, voxels=VOXELS, affine=AFFINE, **fields) -> Path:
    image = nibabel.Nifti1Image(voxels, affine)
    for name, value in fields.items():
        image.header[name] = value
    nibabel.save(image, path)
    return path


def edit_header(path: Path, **fields) -> Path:
    """Change fields of an uncompressed file that nibabel would set itself on saving."""
    content = bytearray(path.read_bytes())
    header = nibabel.Nifti1Header(bytes(content[:348]), check=False)
    for name, value in fields.items():
        header[name] = value
    content[:348] = header.binaryblock
    path.write_bytes(content)
    return path


def volume(path: Path):
    (scan,) = read_nifti_file(path)
    return scan.volume


def refusal(path: Path) -> str:
    with pytest.raises(ScanError) as caught:
        read_nifti_file(path)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_voxels_are_transposed_and_world_positions_kept(tmp_path: Path, name: str):
    read = volume(write(tmp_path / name))
    assert np.array_equal(read.voxels, VOXELS.transpose(2, 1, 0))
    assert read.geometry.matches(GRID)
    assert read.geometry.to_world((3, 2, 1)) == pytest.approx((AFFINE @ [1, 2, 3, 1])[:3])


def test_nifti_2_is_read(tmp_path: Path):
    nibabel.save(nibabel.Nifti2Image(VOXELS, AFFINE), tmp_path / "scan.nii")
    assert volume(tmp_path / "scan.nii").geometry.matches(GRID)


def test_scaling_is_applied(tmp_path: Path):
    path = edit_header(write(tmp_path / "scan.nii"), scl_slope=2, scl_inter=-1024)
    assert volume(path).voxels[0, 0].tolist() == [-1024, 2 * 12 - 1024]
    assert volume(path).voxels.dtype == np.int16


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_whole_numbers_of_any_type_become_int16(tmp_path: Path, dtype):
    assert volume(write(tmp_path / "scan.nii", VOXELS.astype(dtype))).voxels.dtype == np.int16


def test_trailing_singleton_axis_is_accepted(tmp_path: Path):
    assert volume(write(tmp_path / "scan.nii", VOXELS[..., None])).voxels.shape == (4, 3, 2)


def test_real_4d_is_refused(tmp_path: Path):
    path = write(tmp_path / "scan.nii", np.stack([VOXELS, VOXELS], axis=-1))
    assert "expected one 3D volume, got 2 x 3 x 4 x 2 voxels" in refusal(path)


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.95])
def test_truncated_file_is_refused(tmp_path: Path, name: str, share: float):
    path = write(tmp_path / name)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "truncated or damaged" in refusal(path)


def test_file_of_another_kind_is_refused(tmp_path: Path):
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(b"no image at all " * 100))
    assert "not a readable NIfTI file" in refusal(path)


def test_file_without_geometry_is_refused(tmp_path: Path):
    path = edit_header(write(tmp_path / "scan.nii"), qform_code=0, sform_code=0)
    assert "qform_code = sform_code = 0" in refusal(path)


def test_qform_alone_is_enough(tmp_path: Path):
    image = nibabel.Nifti1Image(VOXELS, AFFINE)
    image.set_qform(AFFINE, 1)
    nibabel.save(image, tmp_path / "scan.nii")
    path = edit_header(tmp_path / "scan.nii", sform_code=0)
    assert volume(path).geometry.matches(GRID)


def test_disagreement_of_qform_and_sform_is_noted(tmp_path: Path):
    image = nibabel.Nifti1Image(VOXELS, AFFINE)
    image.set_sform(AFFINE, 1)
    image.set_qform(np.diag([0.5, 0.7, 2.5, 1]), 1)
    nibabel.save(image, tmp_path / "scan.nii")
    (scan,) = read_nifti_file(tmp_path / "scan.nii")
    assert scan.volume.geometry.matches(GRID)
    assert scan.notes == ("qform and sform differ by up to 30 mm; the sform is used",)


def test_sheared_affine_is_refused(tmp_path: Path):
    sheared = AFFINE.copy()
    sheared[1, 2] = 0.5
    assert "not at right angles" in refusal(write(tmp_path / "scan.nii", affine=sheared))


def test_lengths_not_in_mm_are_refused(tmp_path: Path):
    path = write(tmp_path / "scan.nii", xyzt_units=3)
    assert "lengths in micron; write the file again in mm" in refusal(path)


def test_nan_voxel_is_named_by_index(tmp_path: Path):
    voxels = VOXELS.astype(np.float32)
    voxels[1, 2, 3] = np.nan
    assert "the first at (d, h, w) = (3, 2, 1)" in refusal(write(tmp_path / "scan.nii", voxels))


def test_values_that_cannot_be_hu_are_refused(tmp_path: Path):
    path = write(tmp_path / "scan.nii", VOXELS * 1e300)
    assert "these are not HU" in refusal(path)


@pytest.mark.parametrize("dtype", [[("R", "u1"), ("G", "u1"), ("B", "u1")], np.complex64])
def test_colours_and_complex_numbers_are_refused(tmp_path: Path, dtype):
    path = write(tmp_path / "scan.nii", np.zeros((2, 3, 4), dtype=dtype))
    assert "colours or complex numbers" in refusal(path)


def test_header_text_reaches_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = write(tmp_path / "scan.nii", descrip=b"Planted name", db_name=b"Planted id")
    (scan,) = read_nifti_file(path)
    assert "Planted" not in repr(scan) + caplog.text
    assert scan.volume.unit is Unit.HU


def test_only_existing_nifti_names_are_claimed(tmp_path: Path):
    (tmp_path / "scan.dcm").touch()
    write(tmp_path / "SCAN.nii.gz")
    claimed = [
        NiftiReader().claims(tmp_path / n) for n in ("scan.dcm", "SCAN.nii.gz", "absent.nii")
    ]
    assert claimed == [False, True, False]


@pytest.mark.parametrize("name", ["scan.hdr", "scan.img"])
def test_a_pair_of_files_is_claimed_and_refused_with_a_way_out(tmp_path: Path, name: str):
    nibabel.save(nibabel.Nifti1Pair(VOXELS, AFFINE), tmp_path / "scan.hdr")
    assert "nibabel.save(nibabel.load('scan.hdr'), 'scan.nii.gz')" in refusal(tmp_path / name)


def test_other_files_with_the_names_of_a_pair_are_not_claimed(tmp_path: Path):
    (tmp_path / "scan.hdr").write_text("ENVI")
    (tmp_path / "scan.img").touch()
    (tmp_path / "alone.img").touch()
    assert not any(NiftiReader().claims(path) for path in tmp_path.iterdir())


@pytest.mark.parametrize(("slope", "inter"), [(1, -1024), (0.1, 0), (0.1, -1000), (1 / 3, 5)])
def test_whole_hu_stay_whole_under_a_slope_rounded_to_float32(tmp_path: Path, slope, inter):
    stored = np.rint((VOXELS - inter) / slope).astype(np.int16)
    path = edit_header(write(tmp_path / "scan.nii", stored), scl_slope=slope, scl_inter=inter)
    read = volume(path).voxels
    assert read.dtype == np.int16
    assert np.array_equal(read, VOXELS.transpose(2, 1, 0))


def test_fractions_of_hu_are_kept_in_float32(tmp_path: Path):
    read = volume(write(tmp_path / "scan.nii", VOXELS + np.float32(0.3))).voxels
    assert read.dtype == np.float32
    assert np.array_equal(read, (VOXELS + np.float32(0.3)).transpose(2, 1, 0))
