"""Masks of simulated hips against the truth; benchmarks/segmentation.py does whole cohorts."""

import numpy as np
import pytest

from qctkit.segmentation import segment_femora
from qctkit.simulate import SimulationSettings, draw_person, simulate_person

CUBES = SimulationSettings(spacing_mm=(1.0, 1.0, 1.0))
SLICES = SimulationSettings(spacing_mm=(3.0, 0.9, 0.9), psf_fwhm_mm=(3.0, 1.8, 1.8))


@pytest.mark.parametrize(("settings", "person", "least"), [(CUBES, 7, 0.97), (SLICES, 1, 0.95)])
def test_the_mask_agrees_with_the_truth(
    settings: SimulationSettings, person: int, least: float
) -> None:
    sample = simulate_person(draw_person(0, person), settings)
    (femur,) = segment_femora(sample.volume).femora
    truth, mask = sample.femur.voxels, femur.mask.voxels
    assert 2 * np.count_nonzero(mask & truth) / (mask.sum() + truth.sum()) > least
    assert femur.doubts == ()
