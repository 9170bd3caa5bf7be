"""The patient's own air, fat and muscle as a phantom: an approximate calibration.

The procedure is Eggermont 2019 (PLoS ONE 14:e0220564, abstract): the peaks of air, fat and muscle
in the scan's histogram are fitted linearly to reference densities of these tissues. It is
approximate by nature: reference densities hold for the scanner, tube voltage and phantom they
were taken from (Ataei 2022, PLoS ONE 17:e0265524: about 10 % lower density when the voltage
changes), tissues differ between people, and bone lies outside the range that is fitted.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from qctkit.calibration import Calibration
from qctkit.errors import InputError
from qctkit.phantoms.fit import fit_line
from qctkit.units import Material
from qctkit.volume import Volume

WINDOWS_HU = {"air": (-1040.0, -980.0), "fat": (-150.0, -50.0), "muscle": (0.0, 100.0)}
"""Where each tissue's peak is looked for. Air ends above the foam of a couch, which has a peak of
its own at -970 to -950 HU on the project's real scans."""

PEAK_SMOOTHING_HU = 6.0
"""Kernel of the histogram: well below a scan's noise, so that it moves no peak [our choice]."""

PEAK_HALF_WIDTH_HU = 15
LEAST_PEAK_VOXELS = 500
LEAST_PROMINENCE = 0.05
"""A peak needs so many voxels within so many HU, and must stand out of its surroundings by this
share of its height [our choice]."""


@dataclass(frozen=True)
class TissueReference:
    """Equivalent mineral densities of three tissues, mg/cm3, as a phantom showed them.

    Attributes:
        name: short, for comparisons; commands calibrate by ``DEFAULT_REFERENCE``.
        material: of the phantom that the densities were taken with.
        air_mg_cm3, fat_mg_cm3, muscle_mg_cm3: densities.
        source: where they come from, and what of it could not be verified.
    """

    name: str
    title: str
    material: Material
    air_mg_cm3: float
    fat_mg_cm3: float
    muscle_mg_cm3: float
    source: str


REFERENCES = (
    TissueReference(
        "szyszko-2024",
        "Szyszko 2024",
        Material.HA,
        -797.0,
        -95.0,
        38.0,
        "Szyszko 2024, PLoS ONE 19:e0305474: densities as in the abstract, from a phantom-based "
        "calibration of women's hips. Recalled, not verified: that the phantom was of HA",
    ),
    TissueReference(
        "eggermont-2019",
        "Eggermont 2019",
        Material.HA,
        -840.0,
        -80.0,
        30.0,
        "Eggermont 2019, PLoS ONE 14:e0220564: the procedure as in the abstract. Recalled, not "
        "verified: the densities, and that the phantom was of HA",
    ),
)
DEFAULT_REFERENCE = REFERENCES[0]


@dataclass(frozen=True)
class Tissues:
    """Mean or most frequent HU of three tissues.

    Raises:
        InputError: a value is not where the tissue can be.
    """

    air_hu: float
    fat_hu: float
    muscle_hu: float

    def __post_init__(self) -> None:
        for tissue, (low, high) in WINDOWS_HU.items():
            value = getattr(self, f"{tissue}_hu")
            if not (math.isfinite(value) and low <= value <= high):
                raise InputError(
                    f"{tissue} at {value:g} HU cannot be {tissue}, which lies between {low:g} and "
                    f"{high:g} HU; the order is air, fat, muscle"
                )


def from_tissues(
    tissues: Tissues,
    reference: TissueReference = DEFAULT_REFERENCE,
    tube_voltage_kvp: float | None = None,
) -> Calibration:
    """Return the approximate calibration that three tissues give, by least squares.

    Residual and r are those of three points of which one is far away: r is near 1 whatever the
    tissues are, and says nothing about bone.
    """
    fit = fit_line(
        (tissues.air_hu, tissues.fat_hu, tissues.muscle_hu),
        (reference.air_mg_cm3, reference.fat_mg_cm3, reference.muscle_mg_cm3),
    )
    return Calibration(
        slope_mg_cm3_per_hu=fit.slope,
        intercept_mg_cm3=fit.intercept,
        material=reference.material,
        origin=f"air, fat and muscle by {reference.title}",
        residual_mg_cm3=fit.residual,
        r=fit.r,
        tube_voltage_kvp=tube_voltage_kvp,
        is_approximate=True,
    )


def from_scan(
    volume: Volume,
    reference: TissueReference = DEFAULT_REFERENCE,
    tube_voltage_kvp: float | None = None,
) -> Calibration:
    """Return the approximate calibration of a scan from the tissues in it.

    Raises:
        InputError: voxels are not HU, or a tissue's peak is not in the scan.
    """
    return from_tissues(find_tissues(volume), reference, tube_voltage_kvp)


def find_tissues(volume: Volume) -> Tissues:
    """Return the peaks of air, fat and muscle in a scan's histogram.

    A peak is the highest local maximum of the smoothed histogram in the tissue's window, among
    voxels that are not exactly like all their neighbours: padding outside the field of view is
    that, and no tissue.

    Raises:
        InputError: voxels are not HU, or a peak is missing; the message names the tissue.
    """
    if volume.unit.is_calibrated:
        raise InputError(f"the scan is in {volume.unit} already; tissues are found in HU")
    voxels = volume.voxels
    plane = (1, 3, 3)
    varies = ndimage.maximum_filter(voxels, plane) != ndimage.minimum_filter(voxels, plane)
    values = voxels[varies]
    return Tissues(*(_peak_hu(values, tissue) for tissue in WINDOWS_HU))


def _peak_hu(values: NDArray[np.generic], tissue: str) -> float:
    low, high = WINDOWS_HU[tissue]
    margin = 4 * PEAK_SMOOTHING_HU
    edges = np.arange(low - margin, high + margin + 2) - 0.5
    counts, _ = np.histogram(values, edges)
    smooth = ndimage.gaussian_filter1d(counts.astype(np.float64), PEAK_SMOOTHING_HU)
    from scipy import signal  # deferred: it loads scipy.stats, a second that few scans need

    tops, _ = signal.find_peaks(smooth, prominence=LEAST_PROMINENCE * smooth.max())
    tops = [top for top in tops if low <= low - margin + top <= high]
    top = max(tops, key=lambda one: smooth[one], default=None)
    if top is not None:
        near = counts[max(top - PEAK_HALF_WIDTH_HU, 0) : top + PEAK_HALF_WIDTH_HU + 1]
        if near.sum() >= LEAST_PEAK_VOXELS:
            return float(low - margin + top)
    raise InputError(
        f"no peak of {tissue} between {low:g} and {high:g} HU in the scan's histogram; internal "
        "calibration needs a scan that shows air around the body, fat and muscle (not one cropped "
        "to the bone), or their mean HU as you read them"
    )
