"""Bone density of a volume as figures, and what a real cohort's figures are.

Densities are in the unit of the voxels: HU, whether or not a calibration stands beside them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from qctkit.boxes import bounding_box
from qctkit.cohort import FemurMask
from qctkit.distances import distance_mm
from qctkit.subject import AGE, SEX, WEIGHT, Subject
from qctkit.volume import Volume
from qctkit.window import DEFAULT_BONE_BAND, DEFAULT_WINDOW, BoneBand, Window

CORE_DEPTH_MM = 5.0
"""Depth below the surface from which bone is called trabecular: cortex (at most 4 mm in the
proximal femur, Treece 2010) and the scanner's blur end above it."""

SHELL_DEPTH_MM = 3.0
"""Depth to which bone is called cortical."""

HISTOGRAM_STEP_HU = 10.0
SMOOTHING_HU = 25.0
"""Kernel of the bone-band histogram: about the noise of a clinical scan."""


@dataclass(frozen=True)
class DensityFigures:
    """Density of one femur.

    Attributes:
        trabecular_hu: mean HU deeper than 5 mm.
        cortical_hu: mean HU of the outer 3 mm, which the scanner's blur lowers.
        bone_band_share: share of the femur's voxels in the bone band.
        bone_band_peak_hu: HU of the highest point of the smoothed histogram inside the band, or
            None where the histogram has no peak there.
    """

    trabecular_hu: float
    cortical_hu: float
    bone_band_share: float
    bone_band_peak_hu: float | None


def measure_density(
    volume: Volume,
    femur: FemurMask,
    window: Window = DEFAULT_WINDOW,
    band: BoneBand = DEFAULT_BONE_BAND,
) -> DensityFigures:
    """Return the density figures of a femur; the mask is the source's for a made sample.

    A small or thin mask with nothing deeper than 5 mm gives the mean of its deepest voxels.
    """
    inside, depth_mm = depths(femur, volume.spacing_mm)
    core = depth_mm >= min(CORE_DEPTH_MM, float(depth_mm.max()))
    values = volume.voxels[inside].astype(np.float64)
    low, high = band.limits_hu(window)
    in_band = (values >= low) & (values <= high)
    return DensityFigures(
        trabecular_hu=float(values[core].mean()),
        cortical_hu=float(values[depth_mm <= max(SHELL_DEPTH_MM, float(depth_mm.min()))].mean()),
        bone_band_share=float(in_band.mean()),
        bone_band_peak_hu=band_peak_hu(values, (low, high)),
    )


def depths(
    femur: FemurMask, spacing_mm: tuple[float, float, float]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return the mask, and the depth in mm of each of its voxels below the surface ``(V,)``."""
    inside = femur.voxels[bounding_box(femur.voxels)]
    depth = distance_mm(np.pad(inside, 1), spacing_mm)[1:-1, 1:-1, 1:-1]
    return femur.voxels, depth[inside]


def bone_histogram(
    values_hu: NDArray[np.floating], limits_hu: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return bin centres (HU) and the kernel-smoothed share of voxels per bin between limits."""
    margin = 4 * SMOOTHING_HU
    edges = np.arange(limits_hu[0] - margin, limits_hu[1] + margin + 1, HISTOGRAM_STEP_HU)
    counts, _ = np.histogram(values_hu, edges)
    share = ndimage.gaussian_filter1d(
        counts / max(len(values_hu), 1), SMOOTHING_HU / HISTOGRAM_STEP_HU
    )
    centres = (edges[:-1] + edges[1:]) / 2
    kept = (centres >= limits_hu[0]) & (centres <= limits_hu[1])
    return centres[kept], share[kept]


def band_peak_hu(values_hu: NDArray[np.floating], limits_hu: tuple[float, float]) -> float | None:
    """Return the HU of the histogram's highest inner maximum in the band, None if it has none."""
    centres, share = bone_histogram(values_hu, limits_hu)
    inner = (share[1:-1] > share[:-2]) & (share[1:-1] >= share[2:])
    if not inner.any():
        return None
    peaks = np.flatnonzero(inner) + 1
    return float(centres[peaks[np.argmax(share[peaks])]])


@dataclass(frozen=True)
class DensityLine:
    """A real cohort's regression of one density figure on sex, age and weight.

    ``predict`` gives the mean and the spread that a new subject of these attributes has.
    """

    coefficients: tuple[float, ...]
    used: tuple[str, ...]
    centre: tuple[float, ...]
    residual_sd: float
    lowest: float
    highest: float

    def predict(self, subject: Subject) -> float:
        """Return the figure expected of a subject; a missing attribute counts as the mean."""
        total = self.coefficients[0]
        for name, slope, mean in zip(self.used, self.coefficients[1:], self.centre, strict=True):
            value = subject.value(name)
            total += slope * ((mean if value is None else value) - mean)
        return total


@dataclass(frozen=True)
class DensityReference:
    """What trabecular and cortical density are in the real cohort, given the attributes."""

    trabecular_hu: DensityLine
    cortical_hu: DensityLine
    subjects: int


def density_reference(
    subjects: Sequence[Subject], figures: Sequence[DensityFigures]
) -> DensityReference:
    """Return the reference of a real cohort."""
    return DensityReference(
        _line(subjects, np.array([one.trabecular_hu for one in figures])),
        _line(subjects, np.array([one.cortical_hu for one in figures])),
        len(figures),
    )


def _line(subjects: Sequence[Subject], figure: NDArray[np.float64]) -> DensityLine:
    """Fit by least squares on the attributes that vary; with few subjects, on the mean alone."""
    used, centre, columns = [], [], [np.ones(len(figure))]
    for name in (AGE.name, SEX.name, WEIGHT.name):
        values = np.array([_or_nan(one.value(name)) for one in subjects])
        if np.isnan(values).all() or np.nanstd(values) == 0:
            continue
        # Four subjects a coefficient: fewer would fit the cohort and say nothing of a new subject.
        if len(figure) < 4 * (len(columns) + 1):
            break
        mean = float(np.nanmean(values))
        used.append(name)
        centre.append(mean)
        columns.append(np.where(np.isnan(values), 0.0, values - mean))
    design = np.stack(columns, axis=1)
    coefficients, *_ = np.linalg.lstsq(design, figure, rcond=None)
    residual = figure - design @ coefficients
    spread = np.sqrt(residual @ residual / max(len(figure) - design.shape[1], 1))
    return DensityLine(
        tuple(map(float, coefficients)),
        tuple(used),
        tuple(centre),
        float(spread),
        float(figure.min()),
        float(figure.max()),
    )


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
