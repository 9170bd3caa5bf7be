import bz2
import gzip
import subprocess
import sys
import zlib
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from qctkit.errors import ScanError
from qctkit.geometry import Geometry
from qctkit.readers.choose import find_scans
from qctkit.readers.metaimage import MetaImageReader, read_metaimage
from qctkit.readers.nrrd import NrrdReader, read_nrrd
from qctkit.units import Unit

VOXELS = np.arange(-12, 12, dtype="<i2").reshape(4, 3, 2)
LPS = np.array([[0.5, 0, 0, 10], [0, 0.7, 0, 20], [0, 0, 2.5, -30], [0, 0, 0, 1.0]])
READERS = [NrrdReader(), MetaImageReader()]


def ras_grid(affine: np.ndarray, to_ras=(-1.0, -1.0, 1.0)) -> Geometry:
    """The grid of an affine of ``(i, j, k)`` in the space of a header."""
    return Geometry((4, 3, 2), (np.diag([*to_ras, 1.0]) @ affine)[:, [2, 1, 0, 3]])


def nrrd(path: Path, affine=LPS, data: bytes | None = None, **fields: str | None) -> Path:
    """Write a NRRD file by hand; ``None`` leaves a field out, ``_`` in a name is a space."""
    vectors = ["({})".format(",".join(map(repr, map(float, column)))) for column in affine[:3].T]
    said = {
        "type": "short",
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": "2 3 4",
        "space directions": " ".join(vectors[:3]),
        "kinds": "domain domain domain",
        "endian": "little",
        "encoding": "raw",
        "space origin": vectors[3],
    } | {name.replace("_", " "): value for name, value in fields.items()}
    lines = ["NRRD0005", *(f"{name}: {value}" for name, value in said.items() if value), "", ""]
    path.write_bytes("\n".join(lines).encode() + (VOXELS.tobytes() if data is None else data))
    return path


def metaimage(path: Path, affine=LPS, data: bytes | None = None, **fields: str | None) -> Path:
    """Write a MetaImage file by hand; ``None`` leaves a field out."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    said = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "TransformMatrix": " ".join(repr(float(n)) for n in (affine[:3, :3] / spacing).T.ravel()),
        "Offset": " ".join(repr(float(n)) for n in affine[:3, 3]),
        "ElementSpacing": " ".join(repr(float(n)) for n in spacing),
        "DimSize": "2 3 4",
        "ElementType": "MET_SHORT",
    } | fields
    said["ElementDataFile"] = said.pop("ElementDataFile", "LOCAL")
    lines = [f"{name} = {value}\n" for name, value in said.items() if value]
    path.write_bytes("".join(lines).encode() + (VOXELS.tobytes() if data is None else data))
    return path


def volume(path: Path):
    (found,) = find_scans(path, READERS)
    return found.load().volume


def refusal(path: Path) -> str:
    (found,) = find_scans(path, READERS)
    with pytest.raises(ScanError) as caught:
        found.load()
    return str(caught.value)


@pytest.mark.parametrize(
    ("space", "to_ras"),
    [
        ("left-posterior-superior", (-1, -1, 1)),
        ("LPS", (-1, -1, 1)),
        ("right-anterior-superior", (1, 1, 1)),
        ("RAS", (1, 1, 1)),
        ("left-anterior-superior", (-1, 1, 1)),
        ("LAS", (-1, 1, 1)),
    ],
)
def test_nrrd_spaces_come_out_in_ras(tmp_path: Path, space: str, to_ras):
    read = volume(nrrd(tmp_path / "scan.nrrd", space=space))
    assert np.array_equal(read.voxels, VOXELS)
    assert read.geometry.matches(ras_grid(LPS, to_ras), tolerance_mm=1e-9)


@pytest.mark.parametrize("write", [nrrd, metaimage])
@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("signs", list(product([1, -1], repeat=3)))
def test_every_axis_order_comes_out_right(tmp_path: Path, write, order, signs):
    affine = LPS.copy()
    affine[:3, :3] = np.eye(3)[:, order] * np.multiply([0.5, 0.7, 2.5], signs)
    path = write(tmp_path / f"scan.{'nrrd' if write is nrrd else 'mha'}", affine)
    assert volume(path).geometry.matches(ras_grid(affine), tolerance_mm=1e-9)


angles = st.floats(-np.pi, np.pi)
lengths_mm = st.floats(0.1, 5)
positions_mm = st.floats(-2000, 2000)


@settings(max_examples=25, deadline=None)
@given(
    spacing_mm=st.tuples(lengths_mm, lengths_mm, lengths_mm),
    rotation=st.tuples(angles, angles, angles),
    origin_mm=st.tuples(positions_mm, positions_mm, positions_mm),
)
def test_any_oblique_geometry_comes_out_right(tmp_path_factory, spacing_mm, rotation, origin_mm):
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", rotation).as_matrix() * spacing_mm
    affine[:3, 3] = origin_mm
    folder = tmp_path_factory.mktemp("oblique")
    for read in (
        read_nrrd(nrrd(folder / "scan.nrrd", affine)),
        read_metaimage(metaimage(folder / "scan.mha", affine)),
    ):
        assert read.volume.geometry.matches(ras_grid(affine), tolerance_mm=1e-6)


@pytest.mark.parametrize("field", ["space", "space_directions", "space_origin"])
def test_nrrd_without_a_part_of_its_geometry_is_refused(tmp_path: Path, field: str):
    dimension = {"space_dimension": "3"} if field == "space" else {}
    path = nrrd(tmp_path / "scan.nrrd", **{field: None}, **dimension)
    name = field.replace("_", " ")
    assert f"the header has no field '{name}'; convert the scan again" in refusal(path)


@pytest.mark.parametrize("space", ["scanner-xyz", "3D-right-handed", "LPST"])
def test_nrrd_space_that_is_not_the_patients_is_refused(tmp_path: Path, space: str):
    assert "left and right are unknown" in refusal(nrrd(tmp_path / "scan.nrrd", space=space))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("space_directions", "(1,0,0) (0,1,0) none"),
        ("space_directions", "(1,0,0) (0,1,0) (0,nan,1)"),
        ("space_origin", "(0,0)"),
        ("space_units", '"mm" "mm" "cm"'),
    ],
)
def test_nrrd_geometry_that_is_no_geometry_is_refused(tmp_path: Path, field: str, value: str):
    path = nrrd(tmp_path / "scan.nrrd", **{field: value})
    assert f"the header's '{field.replace('_', ' ')}' " in refusal(path)


@pytest.mark.parametrize("field", ["TransformMatrix", "Offset", "ElementSpacing"])
def test_metaimage_without_a_part_of_its_geometry_is_refused(tmp_path: Path, field: str):
    path = metaimage(tmp_path / "scan.mha", **{field: None})
    assert f"the header has no field {field}; convert the scan again" in refusal(path)


@pytest.mark.parametrize(
    ("field", "synonym", "value"),
    [
        ("TransformMatrix", "Orientation", "0 1 0 1 0 0 0 0 1"),
        ("TransformMatrix", "Rotation", "0 1 0 1 0 0 0 0 1"),
        ("Offset", "Position", "7 8 9"),
        ("Offset", "Origin", "7 8 9"),
        ("ElementSpacing", "ElementSize", "3 4 5"),
    ],
)
def test_metaimage_synonyms_are_read(tmp_path: Path, field: str, synonym: str, value: str):
    named = volume(metaimage(tmp_path / "scan.mha", **{field: value}))
    meant = volume(metaimage(tmp_path / "scan.mha", **{field: None, synonym: value}))
    assert meant.geometry.matches(named.geometry, tolerance_mm=0)
    assert not meant.geometry.matches(ras_grid(LPS))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"NDims": "2"}, "expected one 3D volume"),
        ({"ElementSpacing": "1 1"}, "ElementSpacing must hold 3 positive numbers"),
        ({"ElementSpacing": "1 0 1"}, "ElementSpacing must hold 3 positive numbers"),
        ({"Offset": "1 nan 1"}, "Offset must hold 3 finite numbers"),
        ({"DistanceUnits": "cm"}, "DistanceUnits are not mm"),
        ({"ElementToIntensityFunctionSlope": "2"}, "scales the voxels"),
        ({"ElementNumberOfChannels": "3"}, "colours, vectors"),
        ({"ElementType": "MET_SHORT_ARRAY"}, "colours, vectors"),
        ({"ElementDataFile": "LIST"}, "in several files or in another folder"),
        ({"ElementDataFile": "scan%03d.raw 1 4 1"}, "in several files or in another folder"),
        ({"ElementDataFile": "/tmp/scan.raw"}, "in several files or in another folder"),
        ({"DimSize": "2 3 400"}, "truncated or damaged"),
        ({"HeaderSize": "900"}, "truncated or damaged"),
        ({"DimSize": "2 3"}, "truncated or damaged"),
        ({"DimSize": "2 3 1000000000000"}, "truncated or damaged"),
        ({"BinaryData": "False"}, "written as text"),
    ],
)
def test_metaimage_that_is_no_plain_volume_is_refused(tmp_path: Path, fields, words: str, capfd):
    assert words in refusal(metaimage(tmp_path / "scan.mha", **fields))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["scan.nrrd", "scan.mha"])
def test_colours_are_refused(tmp_path: Path, name: str):
    image = sitk.GetImageFromArray(np.zeros((4, 3, 2, 3), np.uint8), isVector=True)
    sitk.WriteImage(image, str(tmp_path / name))
    assert "colours, vectors" in refusal(tmp_path / name)


def test_nrrd_of_four_dimensions_is_refused(tmp_path: Path):
    image = sitk.JoinSeries([sitk.GetImageFromArray(VOXELS)] * 2)
    sitk.WriteImage(image, str(tmp_path / "scan.nrrd"))
    assert refusal(tmp_path / "scan.nrrd")


@pytest.mark.parametrize("name", ["scan.nrrd", "scan.mha"])
def test_nan_and_values_that_are_not_hu_are_refused(tmp_path: Path, name: str):
    voxels = VOXELS.astype(np.float32)
    for value, words in [(np.nan, "the first at (d, h, w) = (3, 2, 1)"), (1e9, "not HU")]:
        voxels[3, 2, 1] = value
        sitk.WriteImage(sitk.GetImageFromArray(voxels), str(tmp_path / name))
        assert words in refusal(tmp_path / name)


def test_a_sheared_geometry_is_refused(tmp_path: Path):
    sheared = LPS.copy()
    sheared[1, 2] = 0.5
    assert "not at right angles" in refusal(nrrd(tmp_path / "scan.nrrd", sheared))


PACKED = gzip.compress(VOXELS.tobytes())


@pytest.mark.parametrize("where", [12, 30, len(PACKED) - 8])
def test_a_changed_byte_in_a_compressed_nrrd_is_refused(tmp_path: Path, where: int):
    damaged = bytearray(PACKED)
    damaged[where] ^= 0xFF
    path = nrrd(tmp_path / "scan.nrrd", data=bytes(damaged), encoding="gzip")
    assert "truncated or damaged" in refusal(path)


def test_a_compression_that_itk_lacks_is_refused(tmp_path: Path):
    path = nrrd(tmp_path / "scan.nrrd", data=bz2.compress(VOXELS.tobytes()), encoding="bzip2")
    assert "write the file again with gzip" in refusal(path)


@pytest.mark.parametrize("where", [12, 30, -1])
def test_a_changed_byte_in_a_compressed_metaimage_is_refused(tmp_path: Path, where: int, capfd):
    damaged = bytearray(zlib.compress(VOXELS.tobytes()))
    damaged[where] ^= 0xFF
    path = metaimage(tmp_path / "scan.mha", data=bytes(damaged), CompressedData="True")
    assert "truncated or damaged" in refusal(path)
    assert capfd.readouterr() == ("", "")


def test_a_compressed_metaimage_that_unpacks_to_more_is_refused(tmp_path: Path):
    packed = zlib.compress(VOXELS.tobytes() * 2)
    path = metaimage(tmp_path / "scan.mha", data=packed, CompressedData="True")
    assert "truncated or damaged" in refusal(path)


def test_metaimage_byte_order_and_header_size_are_kept(tmp_path: Path):
    (tmp_path / "voxels.raw").write_bytes(b"skip" + VOXELS.astype(">i2").tobytes())
    fields = {"BinaryDataByteOrderMSB": "True", "ElementDataFile": "voxels.raw"}
    for size in ("4", "-1"):
        path = metaimage(tmp_path / "scan.mhd", data=b"", HeaderSize=size, **fields)
        assert np.array_equal(volume(path).voxels, VOXELS)


@pytest.mark.parametrize("unit", list(Unit))
def test_the_unit_that_qctkit_stated_in_a_nrrd_survives(tmp_path: Path, unit: Unit):
    image = sitk.GetImageFromArray(VOXELS)
    image.SetMetaData("qctkit unit", unit.value)
    sitk.WriteImage(image, str(tmp_path / "scan.nrrd"), useCompression=True)
    assert volume(tmp_path / "scan.nrrd").unit is unit


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("name", ["voxels.raw", "./voxels.raw"])
def test_a_header_beside_its_voxels_is_read(tmp_path: Path, newline: bytes, name: str):
    path = nrrd(tmp_path / "scan.nhdr", data=b"", data_file=name)
    path.write_bytes(path.read_bytes().replace(b"\n", newline))
    (tmp_path / "voxels.raw").write_bytes(VOXELS.tobytes())
    assert np.array_equal(volume(path).voxels, VOXELS)


def test_a_file_of_another_kind_is_refused(tmp_path: Path):
    for name in ("scan.nrrd", "scan.mha"):
        (tmp_path / name).write_bytes(b"no image at all \xff" * 1000)
        assert "truncated or damaged" in refusal(tmp_path / name)


def test_reading_a_nifti_does_not_load_itk():
    script = (
        "import sys; from qctkit.bundled import register_readers; register_readers(); "
        "import qctkit.readers.masks; sys.exit('SimpleITK' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
