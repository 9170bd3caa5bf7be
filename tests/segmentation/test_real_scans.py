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


@pytest.mark.parametrize(
    ("name", "side"),
    [("STS_044", Side.RIGHT), ("STS_031", Side.RIGHT), ("STS_026", Side.LEFT)],
)
def test_a_single_hip_gives_one_femur_of_plausible_size(name: str, side: Side) -> None:
    volume = load(f"ibsi-sts/{name}_ct.nii.gz")
    (femur,) = segment_femora(volume)
    assert femur.side is side
    assert femur_side(femur.voxels, volume.geometry) is side
    assert 120 < femur.voxels.sum() * volume.geometry.voxel_volume_mm3 / 1000 < 260


def test_both_hips_are_found_left_before_right() -> None:
    volume = load("tcga-ov-pelvis/TCGA-09-2043_pelvis_ct.nii.gz")
    femora = segment_femora(volume)
    assert [femur.side for femur in femora] == [Side.LEFT, Side.RIGHT]
    assert not (femora[0].voxels & femora[1].voxels).any()
