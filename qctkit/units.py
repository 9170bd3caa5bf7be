"""The units in which voxels are stored, and how reference materials compare.

A mineral density is meaningless without its reference material, so the material is part of the
unit: K2HPO4 and hydroxyapatite (HA) densities of the same bone differ by 14 to 19 %
(Goodsitt 1992).
"""

from enum import StrEnum

from qctkit.errors import InputError

K2HPO4_PER_HA = {80.0: 0.86, 140.0: 0.81}
"""BMD_K2HPO4 / BMD_HA of the same bone by tube voltage (kVp), intercept about 0 and independent of
body size: Goodsitt 1992, Bone and Mineral 19:145-158 (abstract). Both standards were Image
Analysis's, on one GE scanner; HA of another maker need not agree (docs/calibration.md)."""

K2HPO4_PER_HA_UNCERTAINTY = 0.025
"""Half the spread between the two voltages, 3 % of a density: the most that interpolation can miss
while the factor falls with the voltage. It is kept at 80 and 140 kVp too, since those figures are
one scanner's. Faulkner 1993 (HA = 1.15 K2HPO4 - 7.32 mg/cm3, so 0.87; cited second-hand) lies
within it at 80 kVp; its offset of 7 mg/cm3 and differences between makers are not covered."""

TUBE_VOLTAGES_KVP = (40.0, 200.0)
"""No diagnostic CT works outside: there, a voltage is missing (0) or a typing error (volts, or
milliamperes)."""

NRRD_UNIT_KEY = "qctkit unit"
"""Key of a NRRD header under which qctkit states the unit of the voxels."""


class Material(StrEnum):
    """Reference material of a calibration phantom."""

    K2HPO4 = "K2HPO4"
    HA = "HA"


class Unit(StrEnum):
    """Unit of a volume's voxels, spelled as it is stored and shown."""

    HU = "HU"
    MG_CM3_K2HPO4 = "mg/cm3 K2HPO4"
    MG_CM3_HA = "mg/cm3 HA"

    @property
    def is_calibrated(self) -> bool:
        """Whether voxels are mineral densities."""
        return self is not Unit.HU

    @property
    def material(self) -> Material | None:
        """Reference material of voxels that are mineral densities, None for HU."""
        return {Unit.MG_CM3_HA: Material.HA, Unit.MG_CM3_K2HPO4: Material.K2HPO4}.get(self)

    @classmethod
    def of_density(cls, material: Material) -> "Unit":
        """Return the density unit of a reference material."""
        return cls.MG_CM3_HA if material is Material.HA else cls.MG_CM3_K2HPO4


def k2hpo4_per_ha(tube_voltage_kvp: float | None) -> float:
    """Return BMD_K2HPO4 / BMD_HA at a tube voltage, linear between 80 and 140 kVp.

    Raises:
        InputError: the voltage is not known, or lies outside the two that were measured.
    """
    (low, at_low), (high, at_high) = K2HPO4_PER_HA.items()
    if tube_voltage_kvp is None:
        raise InputError(
            "K2HPO4 and HA densities convert by a factor that depends on the tube voltage, which "
            "is not known here; state tube_voltage_kvp, or the factor itself"
        )
    if not low <= tube_voltage_kvp <= high:
        raise InputError(
            f"the factor between K2HPO4 and HA is known from {low:g} to {high:g} kVp only, the "
            f"scan was made at {tube_voltage_kvp:g} kVp; state the factor itself if you know it"
        )
    return at_low + (tube_voltage_kvp - low) / (high - low) * (at_high - at_low)
