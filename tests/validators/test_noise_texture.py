from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from qctkit.cohort import FemurMask, MaskOrigin, Sample, Side
from qctkit.contracts import Candidate, Verdict
from qctkit.density import DensityReference, density_reference, measure_density
from qctkit.geometry import Geometry
from qctkit.validators.noise_texture import NoiseTexture
from qctkit.volume import Volume


@pytest.fixture(scope="module")
def reference(people: tuple[Sample, ...]) -> DensityReference:
    figures = [measure_density(one.volume, one.femur) for one in people]
    return density_reference([one.subject for one in people], figures)


@pytest.fixture
def candidate(people: tuple[Sample, ...]) -> Candidate:
    """Give a candidate that is its source, all of which may change."""
    source = people[0]
    everywhere = np.ones(source.volume.voxels.shape, dtype=bool)
    return Candidate(source, source.volume, source.femur, everywhere, source.subject, (), ())


def _judged(candidate: Candidate, hu: np.ndarray, reference: DensityReference) -> Verdict:
    changed = replace(candidate, volume=candidate.volume.with_voxels(hu))
    return NoiseTexture().judge(changed, reference)


def _hu(candidate: Candidate) -> np.ndarray:
    return candidate.source.volume.voxels.astype(np.float32)


def test_the_sources_own_noise_passes(candidate: Candidate, reference: DensityReference) -> None:
    verdict = _judged(candidate, _hu(candidate) + 7.0, reference)
    assert verdict.passed
    assert verdict.figures["windows"] >= 30
    assert verdict.figures["fine_power_ratio"] == pytest.approx(1.0)


def test_other_noise_of_the_same_kind_passes(
    candidate: Candidate, reference: DensityReference
) -> None:
    hu = _hu(candidate)
    verdict = _judged(candidate, np.flip(hu, axis=(1, 2)).copy(), reference)
    assert verdict.passed


def test_noise_that_was_interpolated_fails(
    candidate: Candidate, reference: DensityReference
) -> None:
    shifted = ndimage.shift(_hu(candidate), (0.0, 0.5, 0.5), order=1, mode="nearest")
    verdict = _judged(candidate, shifted, reference)
    assert not verdict.passed
    assert verdict.figures["fine_power_ratio"] < 0.5


def test_more_noise_fails(candidate: Candidate, reference: DensityReference) -> None:
    more = 10.0 * np.random.default_rng(5).standard_normal(_hu(candidate).shape)
    assert not _judged(candidate, _hu(candidate) + more, reference).passed


def test_where_nothing_changed_the_noise_is_the_sources(
    candidate: Candidate, reference: DensityReference
) -> None:
    verdict = NoiseTexture().judge(candidate, reference)
    assert verdict.passed
    assert verdict.figures["windows"] == 0


def test_where_the_noise_was_measured_is_said(
    candidate: Candidate, reference: DensityReference
) -> None:
    """A quarter of the changed tissue is the femur's marrow."""
    noise = np.random.default_rng(0).normal(20.0, 15.0, (24, 64, 64)).round()
    volume = Volume(noise, Geometry.from_spacing(noise.shape, (1.0, 1.0, 1.0)))
    mask = np.zeros(noise.shape, dtype=bool)
    mask[:, :, :16] = True
    femur = FemurMask(mask, Side.LEFT, MaskOrigin.GIVEN)
    source = replace(candidate.source, volume=volume, femur=femur)
    everywhere = np.ones_like(mask)
    damped = replace(candidate, source=source, femur=femur, region=everywhere, volume=volume)
    verdict = _judged(damped, 20.0 + 0.8 * (noise - 20.0), reference)
    assert verdict.figures["windows_in_femur"] == pytest.approx(0.25, abs=0.06)
    assert verdict.figures["middle_power_ratio"] == pytest.approx(0.64, abs=0.01)
    assert f"{verdict.figures['windows_in_femur']:.0%} of them in the femur's" in verdict.words
