from pathlib import Path

import nibabel
import numpy as np
import pytest

from qctkit.cohort import Side
from qctkit.geometry import Geometry
from qctkit.segmentation import femur_side, segment_femora
from qctkit.volume import Volume

SCANS = Path(__file__).parents[2] / "../shared/data/ct"

pytestmark = pytest.mark.skipif(not SCANS.is_dir(), reason="the real scans are not here")


def load(name: str) -> Volume:
    image = nibabel.load(SCANS / name)
    voxels = np.asarray(image.dataobj).transpose(2, 1, 0)
    return Volume(voxels, Geometry(voxels.shape, image.affine[:, [2, 1, 0, 3]]))


def test_a_whole_hip_gives_one_femur_without_doubt() -> None:
    volume = load("ibsi-sts/STS_044_ct.nii.gz")
    (femur,) = segment_femora(volume).femora
    assert femur.mask.side is Side.RIGHT
    assert femur_side(femur.mask.voxels, volume.geometry) is Side.RIGHT
    assert 120 < femur.mask.voxels.sum() * volume.geometry.voxel_volume_mm3 / 1000 < 260
    assert femur.doubts == ()


def test_a_hip_with_a_nail_is_left_out_and_the_blurred_one_beside_it_is_doubted() -> None:
    found = segment_femora(load("totalseg-example/totalseg_example_ct.nii.gz"))
    assert found.left_out == ("left femur: a metal implant lies within 5 mm",)
    assert found.hips_in_view == 2
    (femur,) = found.femora
    assert femur.mask.side is Side.RIGHT
    assert any("uncertain" in doubt for doubt in femur.doubts)
