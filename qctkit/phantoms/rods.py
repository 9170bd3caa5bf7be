"""Rods of a phantom to a calibration: from their mean HU, or from a mask of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from qctkit.calibration import SLOPES_MG_CM3_PER_HU, Calibration
from qctkit.errors import InputError
from qctkit.phantoms.fit import Fit, fit_line
from qctkit.phantoms.table import Phantom
from qctkit.volume import Volume

MINDWAYS_SIGMA_OFFSET = -0.2174
MINDWAYS_BETA_OFFSET_HU = 999.6
"""From the fit of K2HPO4 in water to the line of bone: QCT PRO User Guide v5.0 (Mindways 2011),
as cited by Bonelab/Ogo."""

LEAST_R = 0.99
"""A correlation below this is refused [our choice]. Rods that were read well give more than 0.999;
the worked example gives 0.99985. Of two exchanged rods all but the two that are nearly alike
(A and B of Mindways, 0.9946) give less than 0.98."""

LEAST_ROD_VOXELS = 20
"""Fewer voxels than this, after erosion or before it, are no rod [our choice]."""


@dataclass(frozen=True)
class RodReading:
    """What a scan shows of one rod.

    Attributes:
        name: of the rod.
        mean_hu: mean over its voxels.
        standard_error_hu: of that mean, as if voxels were independent; the grain of real noise
            makes the true one larger.
        voxels: how many were read.
        eroded: whether the label's edge, one voxel in the plane, was left out.
    """

    name: str
    mean_hu: float
    standard_error_hu: float
    voxels: int
    eroded: bool


def from_rods(
    phantom: Phantom,
    mean_hu: Sequence[float],
    tube_voltage_kvp: float | None = None,
) -> Calibration:
    """Return the calibration of a scan from the mean HU of its rods, in the phantom's order.

    HA phantoms: density = slope * HU + intercept by least squares. Mindways: the published
    procedure, see ``_mindways``.

    Raises:
        InputError: not one finite value a rod, all rods alike, or a fit that rods in the right
            order cannot give; the message shows the order and what was fitted.
    """
    _check_values(phantom, mean_hu)
    if any(rod.water_mg_cm3 is not None for rod in phantom.rods):
        fit, slope, intercept, residual = _mindways(phantom, mean_hu)
    else:
        fit = fit_line(mean_hu, [rod.density_mg_cm3 for rod in phantom.rods])
        slope, intercept, residual = fit.slope, fit.intercept, fit.residual
    low, high = SLOPES_MG_CM3_PER_HU
    if fit.r < LEAST_R or not low <= slope <= high:
        raise InputError(_bad_fit(phantom, mean_hu, fit, slope))
    judged = len(phantom.rods) > 2
    return Calibration(
        slope_mg_cm3_per_hu=slope,
        intercept_mg_cm3=intercept,
        material=phantom.material,
        origin="phantom rods",
        phantom=phantom.title,
        rods=len(phantom.rods),
        residual_mg_cm3=residual if judged else None,
        r=fit.r if judged else None,
        tube_voltage_kvp=tube_voltage_kvp,
    )


def from_rod_mask(
    volume: Volume,
    labels: NDArray[np.integer],
    phantom: Phantom,
    tube_voltage_kvp: float | None = None,
) -> Calibration:
    """Return the calibration of a scan from a mask of its rods.

    ``labels`` is ``(D, H, W)`` on the scan's grid: 1 to n in the phantom's order, 0 elsewhere.

    Raises:
        InputError: as ``read_rods`` and ``from_rods`` do.
    """
    readings = read_rods(volume, labels, phantom)
    found = from_rods(phantom, [one.mean_hu for one in readings], tube_voltage_kvp)
    return replace(found, origin="phantom rods in a mask")


def read_rods(
    volume: Volume, labels: NDArray[np.integer], phantom: Phantom
) -> tuple[RodReading, ...]:
    """Return what the scan shows of each rod, in the phantom's order.

    The outermost voxel of a label in its plane is left out where a rod survives that, since it
    holds what surrounds the rod too (partial volume).

    Raises:
        InputError: voxels are not HU, the mask lies on another grid, or a label is missing,
            unknown or too small.
    """
    if volume.unit.is_calibrated:
        raise InputError(f"the scan is in {volume.unit} already; rods are read in HU")
    if labels.shape != volume.voxels.shape:
        raise InputError(
            f"the mask of rods has shape {labels.shape}, its scan {volume.voxels.shape}; draw the "
            "rods on the scan's own grid"
        )
    wanted = set(range(1, len(phantom.rods) + 1))
    found = {int(one) for one in np.unique(labels)} - {0}
    if found != wanted:
        raise InputError(
            f"the mask of rods has labels {_list(found)}, but {phantom.title} has "
            f"{len(phantom.rods)} rods, to be labelled 1 to {len(phantom.rods)} in the order "
            f"{phantom.rods_in_words}"
        )
    return tuple(
        _read_rod(volume, np.asarray(labels == number), rod.name)
        for number, rod in enumerate(phantom.rods, start=1)
    )


def _check_values(phantom: Phantom, mean_hu: Sequence[float]) -> None:
    if len(mean_hu) != len(phantom.rods):
        raise InputError(
            f"{phantom.title} has {len(phantom.rods)} rods, {len(mean_hu)} values were given; "
            f"give the mean HU of {phantom.rods_in_words}, in this order"
        )
    for rod, value in zip(phantom.rods, mean_hu, strict=True):
        if not math.isfinite(value):
            raise InputError(f"the mean HU of rod {rod.name} of {phantom.title} is {value}")
    if len(set(mean_hu)) < 2:
        raise InputError(
            f"all rods of {phantom.title} have {mean_hu[0]:g} HU; a line needs two that differ"
        )


def _mindways(phantom: Phantom, mean_hu: Sequence[float]) -> tuple[Fit, float, float, float]:
    """Return the fit, and slope, intercept and residual of the line to mg/cm3 K2HPO4.

    The rods are K2HPO4 in a base whose attenuation differs from water's. For rods i,
    HU_i - rho_water,i = sigma_ref * rho_K2HPO4,i + beta_ref by least squares; then
    sigma_CT = sigma_ref - 0.2174, beta_CT = beta_ref + 999.6, and
    density = (HU - beta_CT) / sigma_CT. (QCT PRO User Guide v5.0, as in Bonelab/Ogo.)
    """
    densities = [rod.density_mg_cm3 for rod in phantom.rods]
    above_water = [
        hu - (rod.water_mg_cm3 or 0.0) for hu, rod in zip(mean_hu, phantom.rods, strict=True)
    ]
    fit = fit_line(densities, above_water)
    sigma = fit.slope + MINDWAYS_SIGMA_OFFSET
    beta = fit.intercept + MINDWAYS_BETA_OFFSET_HU
    if not sigma > 0:
        raise InputError(_bad_fit(phantom, mean_hu, fit, 1 / sigma if sigma else math.inf))
    return fit, 1 / sigma, -beta / sigma, fit.residual / fit.slope


def _bad_fit(phantom: Phantom, mean_hu: Sequence[float], fit: Fit, slope: float) -> str:
    low, high = SLOPES_MG_CM3_PER_HU
    pairs = ", ".join(
        f"{rod.name} ({rod.density_mg_cm3:g} mg/cm3) {hu:g} HU"
        for rod, hu in zip(phantom.rods, mean_hu, strict=True)
    )
    return (
        f"no line fits the rods of {phantom.title}: correlation {fit.r:.3f} and slope {slope:.3g} "
        f"mg/cm3 per HU, where at least {LEAST_R} and {low:g} to {high:g} are wanted. What was "
        f"fitted: {pairs}. The rods may be in another order, or their means not in HU; give them "
        f"in this order, or with their names ({phantom.rods[0].name}=...;"
        f"{phantom.rods[1].name}=...)"
    )


def _read_rod(volume: Volume, rod: NDArray[np.bool_], name: str) -> RodReading:
    core = ndimage.binary_erosion(rod, np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]], dtype=bool))
    eroded = int(core.sum()) >= LEAST_ROD_VOXELS
    values = volume.voxels[core if eroded else rod].astype(np.float64)
    if len(values) < LEAST_ROD_VOXELS:
        raise InputError(
            f"rod {name} has {len(values)} voxels in the mask, too few for a mean (at least "
            f"{LEAST_ROD_VOXELS}); draw it over more slices"
        )
    error = float(values.std(ddof=1) / np.sqrt(len(values)))
    return RodReading(name, float(values.mean()), error, len(values), eroded)


def _list(numbers: set[int]) -> str:
    shown = sorted(numbers)[:8]
    return ", ".join(map(str, shown)) + (" ..." if len(numbers) > 8 else "") if shown else "none"
