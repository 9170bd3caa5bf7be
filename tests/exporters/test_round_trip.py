"""What is exported and read again is the same volume; exporting that loses nothing more."""

from itertools import permutations, product
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from qctkit.cohort import FemurMask, MaskOrigin, MemoryCohort, Sample, Side
from qctkit.exporters.nifti import NiftiExporter
from qctkit.geometry import Geometry
from qctkit.readers.masks import read_masks
from qctkit.readers.nifti import read_nifti
from qctkit.subject import Subject
from qctkit.units import Unit
from qctkit.volume import Volume

SHAPE = (2, 3, 4)
lengths_mm = st.floats(0.1, 5)
angles = st.floats(-np.pi, np.pi)
positions_mm = st.floats(-2000, 2000)


def export(volume: Volume, folder: Path) -> Path:
    mask = np.zeros(volume.voxels.shape, dtype=bool)
    mask[0, 1] = True
    femur = FemurMask(mask, Side.RIGHT, MaskOrigin.GIVEN)
    cohort = MemoryCohort((Sample("A", Subject("A"), volume, femur),))
    return NiftiExporter().export(cohort, folder, overwrite=True)[0]


def read(path: Path) -> Volume:
    return read_nifti(path).volume


def check_round_trip(volume: Volume) -> None:
    with TemporaryDirectory() as folder:
        path = export(volume, Path(folder))
        again = read(path)
        assert np.array_equal(again.voxels, volume.voxels)
        assert again.voxels.dtype == volume.voxels.dtype
        assert again.unit is volume.unit
        assert again.geometry.matches(volume.geometry)
        (given,) = read_masks(Path(folder, "A_mask.nii.gz"), volume.geometry)
        assert given.voxels.sum() == 4
        third = read(export(again, Path(folder)))
        assert np.array_equal(third.geometry.affine, again.geometry.affine)


@settings(max_examples=40, deadline=None)
@given(
    spacing_mm=st.tuples(lengths_mm, lengths_mm, lengths_mm),
    rotation=st.tuples(angles, angles, angles),
    flips=st.tuples(*[st.sampled_from([1, -1])] * 3),
    origin_mm=st.tuples(positions_mm, positions_mm, positions_mm),
)
def test_any_oblique_or_flipped_affine_comes_back(spacing_mm, rotation, flips, origin_mm):
    affine = np.eye(4)
    directions = Rotation.from_euler("xyz", rotation).as_matrix()
    affine[:3, :3] = directions * np.multiply(spacing_mm, flips)
    affine[:3, 3] = origin_mm
    voxels = np.arange(24, dtype=np.int16).reshape(SHAPE)
    check_round_trip(Volume(voxels, Geometry(SHAPE, affine)))


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("signs", list(product([1, -1], repeat=3)))
def test_every_axis_order_comes_back_with_qform_and_sform(tmp_path: Path, order, signs):
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, order] * np.multiply([2.5, 0.7, 0.5], signs)
    volume = Volume(np.arange(24, dtype=np.int16).reshape(SHAPE), Geometry(SHAPE, affine))
    header = nibabel.load(export(volume, tmp_path)).header
    assert header["qform_code"] == header["sform_code"] == 1
    assert np.allclose(header.get_qform(), header.get_sform(), atol=1e-5)
    assert read(tmp_path / "A.nii.gz").geometry.matches(volume.geometry)


@settings(max_examples=25, deadline=None)
@given(
    values=st.lists(st.floats(-3000, 9e4, width=32), min_size=24, max_size=24),
    unit=st.sampled_from(list(Unit)),
)
def test_any_voxel_values_and_unit_come_back(values, unit):
    voxels = np.array(values, dtype=np.float32).reshape(SHAPE)
    voxels[0, 0, 0] = -1000  # few small whole numbers would be refused as a mask
    geometry = Geometry.from_spacing(SHAPE, (2.5, 0.7, 0.5))
    check_round_trip(Volume(voxels, geometry, unit))


def test_slight_shear_keeps_its_sform_alone(tmp_path: Path):
    affine = np.diag([2.5, 0.7, 0.5, 1.0])
    affine[0, 1] = 6e-4
    volume = Volume(np.arange(24, dtype=np.int16).reshape(SHAPE), Geometry(SHAPE, affine))
    header = nibabel.load(export(volume, tmp_path)).header
    assert (header["qform_code"], header["sform_code"]) == (0, 1)
    assert read(tmp_path / "A.nii.gz").geometry.matches(volume.geometry, tolerance_mm=1e-6)


def test_real_scan_comes_back(tmp_path: Path):
    folder = Path(__file__).parents[3] / "shared" / "data" / "ct" / "ibsi-sts"
    if not folder.is_dir():
        pytest.skip("the real scans (../shared/data) are not here")
    volume = read(folder / "STS_015_ct.nii.gz")
    again = read(export(volume, tmp_path))
    assert np.array_equal(again.voxels, volume.voxels)
    assert np.array_equal(again.geometry.affine, volume.geometry.affine)
