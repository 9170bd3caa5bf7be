"""The units in which voxels are stored.

A mineral density is meaningless without its reference material, so the material is part of the
unit: K2HPO4 and hydroxyapatite (HA) densities of the same bone differ by 14 to 19 %
(Goodsitt 1992).
"""

from enum import StrEnum


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

    @classmethod
    def of_density(cls, material: Material) -> "Unit":
        """Return the density unit of a reference material."""
        return cls.MG_CM3_HA if material is Material.HA else cls.MG_CM3_K2HPO4
