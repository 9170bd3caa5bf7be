"""The mask of a simulated hip against the truth; benchmarks/segmentation.py does whole cohorts."""

import numpy as np

from qctkit.segmentation import segment_femora
from qctkit.simulate import SimulationSettings, draw_person, simulate_person

SLICES = SimulationSettings(spacing_mm=(3.0, 0.9, 0.9), psf_fwhm_mm=(3.0, 1.8, 1.8))


def test_the_mask_agrees_with_the_truth() -> None:
    sample = simulate_person(draw_person(0, 1), SLICES)
    (femur,) = segment_femora(sample.volume).femora
    truth, mask = sample.femur.voxels, femur.mask.voxels
    assert 2 * np.count_nonzero(mask & truth) / (mask.sum() + truth.sum()) > 0.98
    assert femur.doubts == ()
