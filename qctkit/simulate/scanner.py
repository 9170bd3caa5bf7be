"""From true HU to what a scanner shows: size effect, blur and correlated noise."""

import numpy as np
from scipy import fft, ndimage

from qctkit.calibration import Calibration
from qctkit.geometry import Shape
from qctkit.simulate.person import Person, Stream
from qctkit.simulate.settings import SimulationSettings
from qctkit.simulate.solids import Array
from qctkit.units import Material

CALIBRATION = Calibration(0.8003, 8.12, Material.K2HPO4, "simulated")
"""density = 0.8003 HU + 8.12 mg/cm3 K2HPO4: a Mindways phantom at 120 kVp (unit test of
Bonelab/Ogo). True densities become true HU by this line, backwards."""

CONTRAST_LOSS_PER_KG = 0.001
REFERENCE_WEIGHT_KG = 75.0
"""Bone contrast falls by 5 % from 60 to 110 kg (2 to 8 %, [A] consistent with Bonaretti 2014). A
phantom under the body does not remove this (Carpenter 2014), so the calibration line does not
either: measured density differs from true density."""

CONTRAST_RANGE = (0.9, 1.05)

WATER_ATTENUATION_PER_CM = 0.19
REFERENCE_DIAMETER_CM = 28.0
REFERENCE_WEIGHT_PER_HEIGHT = 75.0 / 1.70
"""Noise grows as exp(mu d / 2) with the body's water-equivalent diameter d at the hip, which goes
with the root of weight over height (figures, section d, physics)."""

NOISE_FACTOR_RANGE = (0.5, 2.5)
"""Tube current modulation bounds the noise at both ends [A]."""

FWHM_PER_SIGMA = 2.3548
SLICE_GRAIN = 0.45
"""Sigma of the noise correlation between slices, in slices [A]."""


def hu_of(density_mg_cm3: Array | np.float32) -> Array:
    """Return the true HU of a density, by the calibration line."""
    density = np.asarray(density_mg_cm3, dtype=np.float32)
    intercept, slope = CALIBRATION.intercept_mg_cm3, CALIBRATION.slope_mg_cm3_per_hu
    return np.asarray((density - np.float32(intercept)) / np.float32(slope))


def contrast(person: Person) -> float:
    """Return measured over true bone contrast for the size of a body; 1 at 75 kg."""
    factor = 1 - CONTRAST_LOSS_PER_KG * (person.weight_kg - REFERENCE_WEIGHT_KG)
    return float(np.clip(factor, *CONTRAST_RANGE))


def noise_factor(person: Person) -> float:
    """Return the noise in a body over that in one of reference size."""
    girth = person.weight_kg / person.height_m / REFERENCE_WEIGHT_PER_HEIGHT
    excess_cm = REFERENCE_DIAMETER_CM * (np.sqrt(girth) - 1)
    factor = np.exp(WATER_ATTENUATION_PER_CM * excess_cm / 2)
    return float(np.clip(factor, *NOISE_FACTOR_RANGE))


def blur(hu: Array, settings: SimulationSettings) -> Array:
    """Return HU ``(D, H, W)`` blurred to the settings' whole point-spread function.

    Averaging over a voxel is part of that function and already in ``hu``: a box of the voxel's
    width, variance width^2 / 12.
    """
    sigma = [
        float(np.sqrt(max((fwhm / FWHM_PER_SIGMA) ** 2 - spacing**2 / 12, 0.0)) / spacing)
        for fwhm, spacing in zip(settings.psf_fwhm_mm, settings.spacing_mm, strict=True)
    ]
    return np.asarray(ndimage.gaussian_filter(hu, sigma, mode="nearest", truncate=3.0))


def noise(person: Person, settings: SimulationSettings) -> Array:
    """Return noise ``(D, H, W)`` of SD 1: an individual's, the same for all counterfactuals.

    In plane the power spectrum rises with frequency as reconstruction from projections makes it
    and falls off with the kernel; slices are lightly correlated.
    """
    shape = settings.geometry.shape
    white = person.random(Stream.NOISE).standard_normal(shape, dtype=np.float32)
    slices = ndimage.gaussian_filter1d(white, SLICE_GRAIN, axis=0, mode="wrap")
    weights = ndimage.gaussian_filter1d(np.eye(1, 15, 7)[0], SLICE_GRAIN)
    transfer = _in_plane_transfer(shape, settings)
    grained = fft.irfft2(fft.rfft2(slices) * transfer, s=shape[1:])
    return np.asarray(grained / np.sqrt((weights**2).sum()), dtype=np.float32)


def _in_plane_transfer(shape: Shape, settings: SimulationSettings) -> Array:
    """Return the noise's transfer function ``(H, W // 2 + 1)`` that keeps the variance."""
    height, width = shape[1:]
    rows = fft.fftfreq(height, settings.spacing_mm[1])[:, None]
    columns = fft.fftfreq(width, settings.spacing_mm[2])[None, :]
    frequency = np.hypot(rows, columns)
    sigma_mm = settings.noise_grain_mm / FWHM_PER_SIGMA
    kernel = np.exp(-2 * (np.pi * sigma_mm * frequency) ** 2)
    full = np.sqrt(frequency + 0.1 / settings.noise_grain_mm) * kernel
    full /= np.sqrt((full**2).mean())
    return np.asarray(full[:, : width // 2 + 1], dtype=np.float32)
