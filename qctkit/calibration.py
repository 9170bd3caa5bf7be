"""The line that turns HU into mineral density, and what is known about it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qctkit.errors import InputError
from qctkit.units import K2HPO4_PER_HA_UNCERTAINTY, Material, Unit, k2hpo4_per_ha

CALIBRATION_COLUMNS = (
    "calibration_slope",
    "calibration_intercept",
    "calibration_material",
    "phantom",
    "rods_hu",
    "rods_mask",
    "tissues_hu",
    "tube_voltage_kvp",
)
"""Columns of a table of subjects that say how a scan is calibrated."""

SLOPES_MG_CM3_PER_HU = (0.3, 2.0)
"""Slopes that are taken [our choice]: about half to double what is published, since voltage and
kernel move a slope (a change of voltage moved densities by 10 %: Ataei 2022). Published are 0.7 at
120 kVp (Dragomir-Daescu 2011 and Cong 2011, as in PMC5234499 table 1) and 0.80 in K2HPO4 (the
worked example of Bonelab/Ogo), which is 0.99 in HA by Goodsitt's smallest factor."""


@dataclass(frozen=True)
class Calibration:
    """density = slope * HU + intercept, in mg/cm3 of a reference material.

    Attributes:
        slope_mg_cm3_per_hu: slope of the line, within ``SLOPES_MG_CM3_PER_HU``.
        intercept_mg_cm3: density at 0 HU.
        material: reference material of the phantom.
        origin: where the line came from, in a few words ("stated", "phantom rods").
        phantom: the phantom, None where there was none or it is not known.
        rods: number of rods that the line was fitted to.
        residual_mg_cm3: root mean square of the fit's residuals, mg/cm3; None where nothing was
            fitted or two points left nothing to judge by.
        r: correlation of the fit, None likewise.
        tube_voltage_kvp: tube voltage of the scan, where known.
        is_approximate: whether densities are only roughly right (no phantom was scanned).
        converted_by: BMD_K2HPO4 / BMD_HA that took the line over from the other material, None
            where it was not converted.
        converted_by_uncertainty: of that factor; None for a factor that the user gave.

    Raises:
        InputError: a value is impossible.
    """

    slope_mg_cm3_per_hu: float
    intercept_mg_cm3: float
    material: Material
    origin: str = "stated"
    phantom: str | None = None
    rods: int | None = None
    residual_mg_cm3: float | None = None
    r: float | None = None
    tube_voltage_kvp: float | None = None
    is_approximate: bool = False
    converted_by: float | None = None
    converted_by_uncertainty: float | None = None

    def __post_init__(self) -> None:
        if not np.isfinite(self.intercept_mg_cm3):
            raise InputError("a calibration intercept must be finite")
        low, high = SLOPES_MG_CM3_PER_HU
        if not low <= self.slope_mg_cm3_per_hu <= high:
            swapped = low <= self.intercept_mg_cm3 <= high
            raise InputError(
                f"a calibration slope of {self.slope_mg_cm3_per_hu:g} mg/cm3 per HU is impossible: "
                f"it is 0.7 to 1 as a rule, and {low:g} to {high:g} is taken; "
                + (
                    "are slope and intercept swapped?"
                    if swapped
                    else "density = slope * HU + intercept, in mg/cm3 (not g/cm3)"
                )
            )
        if self.residual_mg_cm3 is not None and not 0 <= self.residual_mg_cm3 < np.inf:
            raise InputError(f"a residual of {self.residual_mg_cm3} mg/cm3 is impossible")
        if self.r is not None and not -1 <= self.r <= 1:
            raise InputError(f"a correlation of {self.r} is impossible")
        for value, what in (
            (self.tube_voltage_kvp, "tube voltage, kVp,"),
            (self.converted_by, "factor between materials"),
        ):
            if value is not None and not 0 < value < np.inf:
                raise InputError(f"a {what} must be positive, got {value}")

    @property
    def unit(self) -> Unit:
        """Unit of the densities that this line gives."""
        return Unit.of_density(self.material)

    @property
    def line(self) -> str:
        """The line itself: ``0.8003 HU + 8.12 mg/cm3 K2HPO4``."""
        sign = "-" if self.intercept_mg_cm3 < 0 else "+"
        return (
            f"{self.slope_mg_cm3_per_hu:.4f} HU {sign} {abs(self.intercept_mg_cm3):.2f} {self.unit}"
        )

    @property
    def in_words(self) -> str:
        """The line, where it came from, how well it fits, and what was converted.

        The r of an approximate line is left out: one far point makes it near 1 whatever the fit.
        """
        words = [self.line, f"{self.phantom} rods" if self.phantom else self.origin]
        if self.r is not None and not self.is_approximate:
            words.append(f"r {self.r:.5f}")
        if self.converted_by is not None:
            other = Material.HA if self.material is Material.K2HPO4 else Material.K2HPO4
            spread = self.converted_by_uncertainty
            words.append(
                f"converted from {other} by a factor of {self.converted_by:.3f}"
                + (" as given" if spread is None else f" ± {spread:g}")
            )
        return ", ".join(words)

    def density_mg_cm3(self, values_hu: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return mineral densities of HU values, same shape, mg/cm3."""
        hu = values_hu.astype(np.float32)
        return np.asarray(self.slope_mg_cm3_per_hu * hu + self.intercept_mg_cm3, dtype=np.float32)

    def converted_to(
        self, material: Material, k2hpo4_over_ha: float | None = None
    ) -> "Calibration":
        """Return the line in another reference material; the same line if it is in it already.

        Without a factor of the user's own (BMD_K2HPO4 / BMD_HA), Goodsitt's for the tube voltage
        is taken, with its uncertainty (see ``qctkit.units``). Slope, intercept and residual all
        scale, since bone of no mineral has none in either material.

        Raises:
            InputError: the tube voltage is not known or outside 80 to 140 kVp and no factor is
                given, the factor is impossible, or the line was converted before.
        """
        if material is self.material:
            return self
        if self.converted_by is not None:
            raise InputError(
                f"the calibration was converted to {self.material} before; convert the line that "
                f"it was made from to {material} instead"
            )
        factor = k2hpo4_over_ha
        if factor is None:
            factor = k2hpo4_per_ha(self.tube_voltage_kvp)
        elif not 0 < factor < np.inf:
            raise InputError(f"the factor K2HPO4 over HA must be positive, got {factor}")
        scale = factor if material is Material.K2HPO4 else 1 / factor
        residual = self.residual_mg_cm3
        return replace(
            self,
            slope_mg_cm3_per_hu=scale * self.slope_mg_cm3_per_hu,
            intercept_mg_cm3=scale * self.intercept_mg_cm3,
            material=material,
            residual_mg_cm3=None if residual is None else scale * residual,
            converted_by=factor,
            converted_by_uncertainty=None if k2hpo4_over_ha else K2HPO4_PER_HA_UNCERTAINTY,
        )


def scale_in_words(unit: Unit, calibration: Calibration | None) -> str:
    """Return what voxels mean, for titles: ``HU (calibrated: 0.8003 HU + 8.12 mg/cm3 ...)``."""
    if unit.is_calibrated or calibration is None:
        return scale_label(unit, calibration)
    return f"{scale_label(unit, calibration)[:-1]}: {calibration.in_words})"


def scale_label(unit: Unit, calibration: Calibration | None) -> str:
    """Return what voxels mean, for an axis: ``HU (uncalibrated)``, ``mg/cm3 HA``."""
    if unit.is_calibrated:
        return str(unit)
    if calibration is None:
        return f"{unit} (uncalibrated)"
    return f"{unit} ({'approximately ' if calibration.is_approximate else ''}calibrated)"


@dataclass(frozen=True)
class CohortScale:
    """What the scans of a cohort can say about mineral density together.

    Attributes:
        material: of every calibrated scan, None where none is calibrated.
        scans, calibrated, approximate: numbers of scans.
        unit: of the voxels of every scan.
    """

    material: Material | None
    scans: int
    calibrated: int
    approximate: int
    unit: Unit = Unit.HU

    @property
    def has_density(self) -> bool:
        """Whether a density in mg/cm3 may be computed over the cohort: every scan has one."""
        return 0 < self.calibrated == self.scans

    @property
    def in_words(self) -> str:
        """The scale for titles: ``HU (calibrated to mg/cm3 HA)``, ``mg/cm3 HA``."""
        if self.unit.is_calibrated:
            return str(self.unit)
        if self.material is None:
            return f"{Unit.HU} (uncalibrated)"
        to = f"calibrated to {Unit.of_density(self.material)}"
        if self.approximate == self.scans:
            return f"{Unit.HU} (approximately {to})"
        notes = []
        if not self.has_density:
            notes.append(
                f"only {self.calibrated} of {self.scans} scans, so no density in mg/cm3 holds for "
                "the cohort"
            )
        if self.approximate:
            notes.append(f"{self.approximate} of {self.scans} approximately")
        return f"{Unit.HU} ({'; '.join([to, *notes])})"


def one_material(scales: Mapping[str, tuple[Unit, Calibration | None]]) -> CohortScale:
    """Return the scale of a cohort, given the unit and the calibration of each scan by its name.

    HU stay HU whether a scan is calibrated or not, so calibrated and uncalibrated scans may stand
    together; what must not happen is a density in mg/cm3 for some of them only, and
    ``has_density`` says so. Voxels that are a density already count as calibrated.

    Raises:
        InputError: voxels are of different units, or scans calibrated to different materials; two
            scans are named, with the way out.
    """
    unit = _one_unit({name: unit for name, (unit, _) in scales.items()})
    lines = {name: line for name, (_, line) in scales.items() if line is not None}
    if unit.is_calibrated:
        return CohortScale(unit.material, len(scales), len(scales), 0, unit)
    return CohortScale(
        material=_one_line_material(lines),
        scans=len(scales),
        calibrated=len(lines),
        approximate=sum(line.is_approximate for line in lines.values()),
    )


def _one_unit(units: Mapping[str, Unit]) -> Unit:
    first: dict[Unit, str] = {}
    for name, unit in units.items():
        first.setdefault(unit, name)
    if len(first) > 1:
        (one, name), (other, other_name) = list(first.items())[:2]
        raise InputError(
            f"the voxels of {name} are in {one}, those of {other_name} in {other}, and a cohort "
            "holds one unit; give all scans in HU, with the calibration of each beside them, or "
            "make two cohorts"
        )
    return next(iter(first), Unit.HU)


def _one_line_material(lines: Mapping[str, Calibration]) -> Material | None:
    first: dict[Material, str] = {}
    for name, line in lines.items():
        first.setdefault(line.material, name)
    if len(first) > 1:
        (one, name), (other, other_name) = first.items()
        raise InputError(
            f"{name} is calibrated to {one} and {other_name} to {other}, whose densities of the "
            "same bone differ by 14 to 19 %; give --convert-material HA or --convert-material "
            "K2HPO4 to bring all scans to one (this needs the tube voltage of each that is "
            "converted), or make two cohorts"
        )
    return next(iter(first), None)
