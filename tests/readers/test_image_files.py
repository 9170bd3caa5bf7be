"""What holds for image files of every format."""

import gzip
import logging
import warnings
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from qctkit.bundled import register_readers
from qctkit.errors import QctkitError
from qctkit.geometry import Geometry
from qctkit.readers.choose import find_scans
from qctkit.readers.masks import read_masks

GRID = Geometry.from_spacing((6, 5, 4), (2.5, 0.7, 0.5), (-10.0, 20.0, 30.0))
HU = np.arange(-60, 60, dtype=np.int16).reshape(GRID.shape)
MASK = np.zeros(GRID.shape, np.uint8)
MASK[2:4] = 1
NAMES = ["scan.nii", "scan.nii.gz", "scan.nrrd", "scan.nhdr", "scan.mha", "scan.mhd", "scan.npz"]


def write(path: Path, voxels: np.ndarray, grid: Geometry = GRID) -> Path:
    if path.suffix == ".npz":
        np.savez_compressed(path, voxels=voxels, affine=grid.affine)
    elif path.suffix in (".nii", ".gz"):
        nibabel.save(nibabel.Nifti1Image(voxels.T, grid.affine[:, [2, 1, 0, 3]]), path)
    else:
        image = sitk.GetImageFromArray(voxels)
        lps = np.diag([-1, -1, 1]) @ grid.directions[:, ::-1]
        image.SetDirection(lps.ravel().tolist())
        image.SetSpacing(grid.spacing_mm[::-1])
        image.SetOrigin((np.diag([-1, -1, 1]) @ grid.affine[:3, 3]).tolist())
        sitk.WriteImage(image, str(path), useCompression=True)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_the_same_scan_is_read_from_every_format(tmp_path: Path, name: str):
    (found,) = find_scans(write(tmp_path / name, HU), register_readers())
    volume = found.load().volume
    assert volume.voxels.dtype == np.int16
    assert np.array_equal(volume.voxels, HU)
    assert volume.geometry.matches(GRID, tolerance_mm=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("name", NAMES[2:])
def test_every_type_of_number_is_kept_exactly(tmp_path: Path, name: str, dtype):
    voxels = (HU + 60).astype(dtype)
    if np.issubdtype(dtype, np.floating):
        voxels += 0.25
    (found,) = find_scans(write(tmp_path / name, voxels), register_readers())
    assert np.array_equal(found.load().volume.voxels, voxels)


def test_a_folder_of_mixed_formats_gives_every_scan_in_order_of_names(tmp_path: Path):
    for number, name in enumerate(sorted(NAMES)):
        write(tmp_path / f"{number}{name}", HU + number)
    (tmp_path / "notes.txt").touch()
    found = find_scans(tmp_path, register_readers())
    assert [int(one.load().volume.voxels[0, 0, 0]) for one in found] == list(range(-60, -53))


@pytest.mark.parametrize("name", NAMES)
def test_a_mask_is_refused_as_a_scan(tmp_path: Path, name: str):
    (found,) = find_scans(write(tmp_path / name, MASK), register_readers())
    with pytest.raises(QctkitError, match="holds only 0 and 1: this looks like a mask; give it in"):
        found.load()


def test_a_label_image_in_float_is_refused_as_a_scan(tmp_path: Path):
    labels = np.repeat(np.arange(24, dtype=np.float32), 5).reshape(GRID.shape)
    (found,) = find_scans(write(tmp_path / "scan.nii", labels), register_readers())
    with pytest.raises(QctkitError, match="holds only 24 whole numbers from 0 to 23: this looks"):
        found.load()


@pytest.mark.parametrize(
    "voxels",
    [
        np.repeat(np.float32([10.5, 20.5, 30]), 40),  # fractions
        np.repeat(np.int16([0, 0, 300]), 40),  # cortical bone on a background cut off at 0
        np.repeat(np.int16([0, 0, -1]), 40),  # fat or air
        np.random.default_rng(0).normal(60, 10, 120).astype(np.int16),  # muscle alone
    ],
)
def test_no_scan_is_taken_for_a_mask(tmp_path: Path, voxels: np.ndarray):
    path = write(tmp_path / "scan.nii", voxels.reshape(GRID.shape))
    (found,) = find_scans(path, register_readers())
    assert np.array_equal(found.load().volume.voxels.ravel(), voxels)


@pytest.mark.parametrize("name", NAMES)
def test_a_mask_of_every_format_is_taken(tmp_path: Path, name: str):
    (given,) = read_masks(write(tmp_path / name, MASK), GRID)
    assert given.voxels.dtype == np.bool_
    assert np.array_equal(given.voxels, MASK == 1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.97])
def test_a_truncated_file_is_refused_in_silence(tmp_path: Path, name: str, share: float, capfd):
    path = write(tmp_path / name, HU + 0.25)
    data = next((one for one in tmp_path.iterdir() if one.suffix in (".gz", ".zraw")), path)
    data.write_bytes(data.read_bytes()[: int(share * data.stat().st_size)])
    (found,) = find_scans(path, register_readers())
    with pytest.raises(QctkitError, match="truncated"):
        found.load()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["scan.nhdr", "scan.mhd"])
def test_missing_voxels_beside_a_header_are_named_without_a_name(tmp_path: Path, name, capfd):
    path = write(tmp_path / name, HU)
    for other in set(tmp_path.iterdir()) - {path}:
        other.unlink()
    (found,) = find_scans(path, register_readers())
    with pytest.raises(QctkitError, match="the file of voxels that the header names is missing"):
        found.load()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "there", "damaged"),
    [
        ("scan.nii", bytes([3, 0, 4, 0, 5, 0, 6, 0]), bytes([3, 0, 255, 127, 255, 127, 255, 127])),
        ("scan.nrrd", b"sizes: 4 5 6", b"sizes: 4 5 6000000000000"),
        ("scan.mha", b"DimSize = 4 5 6", b"DimSize = 4 5 6000000000000"),
    ],
)
def test_an_impossible_size_is_refused(tmp_path: Path, name: str, there: bytes, damaged: bytes):
    path = write(tmp_path / name, HU)
    content = path.read_bytes()
    assert there in content
    path.write_bytes(content.replace(there, damaged))
    if name == "scan.nii":
        with gzip.open(tmp_path / "packed.nii.gz", "wb") as stream:
            stream.write(path.read_bytes())
    for file in tmp_path.iterdir():
        with pytest.raises(QctkitError, match="truncated or damaged"):
            find_scans(file, register_readers())[0].load()


NRRD = (
    b"NRRD0004\n# PLANTED\ntype: short\ndimension: 3\nspace: LPS\nsizes: 4 5 6\n"
    b"space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\nendian: little\n"
    b"encoding: raw\ncontent: PLANTED\nPLANTED key:=PLANTED\nSegmentation_PLANTED:=PLANTED\n%s\n"
)
SEGMENT = b"Segment0_Name:=PLANTED\nSegment0_ID:=PLANTED\nSegment0_LabelValue:=%s\n"
META = (
    b"ObjectType = Image\nNDims = 3\nComment = PLANTED\nName = PLANTED\nPLANTED = PLANTED\n"
    b"TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\nElementSpacing = 1 1 1\n%s"
    b"DimSize = 4 5 6\nElementType = MET_SHORT\nElementDataFile = %s\n"
)
PACKED = zlib.compress(HU.tobytes())
PLANTED = {
    "good.nrrd": NRRD % b"" + HU.tobytes(),
    "unknown-field.nrrd": NRRD % b"PLANTED: PLANTED\n" + HU.tobytes(),
    "short.nrrd": NRRD % b"" + HU.tobytes()[:-9],
    "elsewhere.nrrd": NRRD % b"data file: PLANTED.raw\n",
    "space.nrrd": (NRRD % b"").replace(b"LPS", b"PLANTED") + HU.tobytes(),
    "units.nrrd": NRRD % b'space units: "PLANTED" "PLANTED" "PLANTED"\n' + HU.tobytes(),
    "origin.nrrd": (NRRD % b"").replace(b"(0,0,0)\n", b"(0,PLANTED,0)\n") + HU.tobytes(),
    "segments.nrrd": NRRD % (SEGMENT % b"1") + HU.tobytes(),
    "segment-value.nrrd": NRRD % (SEGMENT % b"PLANTED") + HU.tobytes(),
    "unit.nrrd": NRRD % b"qctkit unit:=PLANTED\n" + HU.tobytes(),
    "good.mha": META % (b"", b"LOCAL") + HU.tobytes(),
    "short.mha": META % (b"", b"LOCAL") + HU.tobytes()[:-9],
    "packed.mha": META % (b"CompressedData = True\n", b"LOCAL") + b"PLANTED" + PACKED[7:],
    "elsewhere.mha": META % (b"", b"PLANTED.raw"),
    "folder.mha": META % (b"", b"/PLANTED/PLANTED.raw"),
    "no-field.mha": META % (b"PLANTED PLANTED\n", b"LOCAL") + HU.tobytes(),
    "spacing.mha": (META % (b"", b"LOCAL")).replace(b"1 1 1\n", b"1 PLANTED 1\n") + HU.tobytes(),
    "units.mha": META % (b"DistanceUnits = PLANTED\n", b"LOCAL") + HU.tobytes(),
    "scale.mha": META % (b"ElementToIntensityFunctionSlope = PLANTED\n", b"LOCAL") + HU.tobytes(),
    "type.mha": (META % (b"", b"LOCAL")).replace(b"MET_SHORT", b"PLANTED") + HU.tobytes(),
}


def told_by(path: Path) -> str:
    """Everything that reading the path as a scan and as a mask says."""
    told = ""
    for read in (
        lambda: [(found, found.load()) for found in find_scans(path, register_readers())],
        lambda: read_masks(path, GRID),
        lambda: read_masks(path, GRID, "femur_left+1"),
    ):
        try:
            told += repr(read())
        except QctkitError as error:
            told += f"{error} {error.__cause__} "
    return told


@pytest.mark.parametrize("name", PLANTED)
def test_no_text_of_a_header_gets_out(tmp_path: Path, name: str, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    (tmp_path / name).write_bytes(PLANTED[name])
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        told = told_by(tmp_path / name)
    assert told
    everything = told + caplog.text + repr(warned) + repr(capfd.readouterr())
    assert "planted" not in everything.replace(str(tmp_path), "").lower()


@pytest.mark.parametrize("damage", [None, 60, 300, 360, 420])
def test_no_text_of_a_nifti_header_gets_out(tmp_path: Path, damage: int | None, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    image = nibabel.Nifti1Image(HU.T, GRID.affine[:, [2, 1, 0, 3]])
    for field in ("descrip", "aux_file", "db_name", "intent_name"):
        image.header[field] = b"unit: PLANTED"
    table = b'<X><Label Key="1">PLANTED</Label><Label Key="PLANTED">PLANTED</Label></X>'
    for code in (0, 4, 6):
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(code, b"PLANTED"))
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(code, table))
    path = tmp_path / "scan.nii"
    nibabel.save(image, path)
    if damage is not None:
        content = bytearray(path.read_bytes())
        content[damage : damage + 7] = b"PLANTED"
        path.write_bytes(content)
    caplog.clear()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        told = told_by(path)
    everything = told + caplog.text + repr(warned) + repr(capfd.readouterr())
    assert "planted" not in everything.replace(str(tmp_path), "").lower()
