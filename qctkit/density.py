"""Bone density of a volume as figures, and what a real cohort's figures are.

Densities are in the unit of the voxels: HU, whether or not a calibration stands beside them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from qctkit.boxes import bounding_box
from qctkit.cohort import FemurMask
from qctkit.distances import distance_mm
from qctkit.geometry import Shape, Triple
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

CONTEXT_HU = 200.0
"""The histogram goes on so far to both sides of the band: whether a maximum near the band's edge
stands out shows outside."""

PROMINENCE = 0.1
"""A peak stands out by this share of the band's highest value [A]: noise of the counts is about
2 % of it after smoothing, and shoulders of a neighbouring peak less than 10 %."""

Limits = tuple[float, float]
"""Of the bone band, HU."""


@dataclass(frozen=True)
class DensityFigures:
    """Density of one femur.

    Attributes:
        trabecular_hu: mean HU deeper than 5 mm.
        cortical_hu: mean HU of the outer 3 mm, which the scanner's blur lowers.
        bone_band_share: share of the femur's voxels in the bone band.
        bone_band_peaks_hu: peaks of the smoothed histogram inside the band, HU, the highest first;
            empty where it has none.
    """

    trabecular_hu: float
    cortical_hu: float
    bone_band_share: float
    bone_band_peaks_hu: tuple[float, ...]

    @property
    def bone_band_peak_hu(self) -> float | None:
        """The highest peak in the band, HU, which may be one of several; None without one."""
        return self.bone_band_peaks_hu[0] if self.bone_band_peaks_hu else None


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
        bone_band_peaks_hu=peaks_hu(*band_histogram(values, (low, high)), (low, high)),
    )


def depths(femur: FemurMask, spacing_mm: Triple) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return the mask, and the depth in mm of each of its voxels below the surface ``(V,)``."""
    inside = femur.voxels[bounding_box(femur.voxels)]
    return femur.voxels, _depths(inside.shape, np.packbits(inside).tobytes(), spacing_mm)


@lru_cache(maxsize=2)
def _depths(shape: Shape, bits: bytes, spacing_mm: Triple) -> NDArray[np.float64]:
    """Return the depths in a box; kept, since a sample's mask is its source's as a rule."""
    packed = np.frombuffer(bits, np.uint8)
    inside = np.unpackbits(packed, count=math.prod(shape)).reshape(shape).astype(bool)
    depth = distance_mm(np.pad(inside, 1), spacing_mm)
    found: NDArray[np.float64] = depth[1:-1, 1:-1, 1:-1][inside]
    found.flags.writeable = False
    return found


def band_histogram(
    values_hu: NDArray[np.floating], limits_hu: Limits
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return bin centres (HU) and smoothed shares ``(B,)`` of a femur's voxels, band and context.

    The kernel is Gaussian, with a standard deviation of 25 HU.
    """
    low, high = limits_hu[0] - CONTEXT_HU, limits_hu[1] + CONTEXT_HU
    margin = 4 * SMOOTHING_HU
    edges = np.arange(low - margin, high + margin + 1, HISTOGRAM_STEP_HU)
    counts, _ = np.histogram(values_hu, edges)
    share = ndimage.gaussian_filter1d(
        counts / max(len(values_hu), 1), SMOOTHING_HU / HISTOGRAM_STEP_HU
    )
    centres = (edges[:-1] + edges[1:]) / 2
    kept = (centres >= low) & (centres <= high)
    return centres[kept], share[kept]


def peaks_hu(
    centres: NDArray[np.float64], curve: NDArray[np.float64], limits_hu: Limits
) -> tuple[float, ...]:
    """Return the peaks in the band of a histogram of ``band_histogram``, HU, the highest first.

    Between bins a peak is the vertex of a parabola.
    """
    inside = (centres >= limits_hu[0]) & (centres <= limits_hu[1])
    top = float(curve[inside].max(initial=0.0))
    if top <= 0.0:
        return ()
    maxima = np.flatnonzero((curve[1:-1] > curve[:-2]) & (curve[1:-1] >= curve[2:])) + 1
    found = [
        int(place)
        for place in maxima[inside[maxima]]
        if _prominence(curve, int(place)) >= PROMINENCE * top
    ]
    return tuple(
        _vertex(centres, curve, place) for place in sorted(found, key=lambda one: -curve[one])
    )


def peaks_in_words(figures: DensityFigures) -> str:
    """Return ``no peak``, ``one peak at 512 HU`` or ``2 peaks, the highest at 512 HU,``."""
    peaks = figures.bone_band_peaks_hu
    if not peaks:
        return "no peak"
    if len(peaks) == 1:
        return f"one peak at {peaks[0]:.0f} HU"
    return f"{len(peaks)} peaks, the highest at {peaks[0]:.0f} HU,"


def _prominence(curve: NDArray[np.float64], place: int) -> float:
    """Return by how much one must go down from a maximum, to either side, before going higher."""
    higher = np.flatnonzero(curve > curve[place])
    start = int(higher[higher < place].max(initial=-1)) + 1
    stop = int(higher[higher > place].min(initial=len(curve)))
    return float(curve[place] - max(curve[start : place + 1].min(), curve[place:stop].min()))


def _vertex(centres: NDArray[np.float64], curve: NDArray[np.float64], place: int) -> float:
    before, top, after = curve[place - 1 : place + 2]
    bend = before - 2 * top + after
    shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return float(centres[place] + shift * (centres[1] - centres[0]))


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
