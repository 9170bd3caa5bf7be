"""The calibration phantoms that qctkit knows, as data."""

import difflib
from dataclasses import dataclass

from qctkit.errors import InputError
from qctkit.units import Material

OGO = (
    "Bonelab/Ogo, ogo/util/Helper.py at a7e74fcb7586aadfaaabf167a34c443a098edae2 (serial number "
    "{serial})"
)
"""Where the rod tables were read. Certificates differ a little by serial number."""


@dataclass(frozen=True)
class Rod:
    """A rod of a phantom.

    Attributes:
        name: as on the phantom.
        density_mg_cm3: mineral density, mg/cm3 of the phantom's material.
        water_mg_cm3: water-equivalent density, mg/cm3; None for rods of HA in plastic.
    """

    name: str
    density_mg_cm3: float
    water_mg_cm3: float | None = None


@dataclass(frozen=True)
class Phantom:
    """A calibration phantom.

    Rods with water-equivalent densities are fitted by the Mindways procedure, others by plain
    least squares.

    Attributes:
        name: what ``--phantom`` selects.
        title: what the phantom is called in reports.
        material: its reference material.
        rods: in the order in which their HU are given and their labels count from 1.
        source: where the figures come from.
    """

    name: str
    title: str
    material: Material
    rods: tuple[Rod, ...]
    source: str

    @property
    def rods_in_words(self) -> str:
        """The rods in order: ``A (0 mg/cm3), B (200 mg/cm3)``."""
        return ", ".join(f"{rod.name} ({rod.density_mg_cm3:g} mg/cm3)" for rod in self.rods)


def _ha(name: str, title: str, densities: tuple[float, ...], serial: str) -> Phantom:
    rods = tuple(Rod(letter, value) for letter, value in zip("ABCDEF", densities, strict=False))
    return Phantom(name, title, Material.HA, rods, OGO.format(serial=serial))


PHANTOMS = (
    Phantom(
        "mindways-model-3",
        "Mindways Model 3",
        Material.K2HPO4,
        (
            Rod("E", 375.83, 923.20),
            Rod("D", 157.05, 1119.52),
            Rod("C", 58.88, 1103.57),
            Rod("B", -53.40, 1056.95),
            Rod("A", -51.83, 1012.25),
        ),
        OGO.format(serial="4541A, 4560"),
    ),
    Phantom(
        "mindways-model-3-qa",
        "Mindways Model 3 QA",
        Material.K2HPO4,
        (
            Rod("A", 58.88, 1103.57),
            Rod("B", -53.40, 1056.95),
            Rod("C", 157.05, 1119.52),
            Rod("D", 157.13, 1120.10),
        ),
        OGO.format(serial="4408"),
    ),
    _ha("image-analysis-qct-3d-plus", "Image Analysis QCT-3D Plus", (8.0, 97.3, 189.8), "G2730"),
    _ha("siemens-osteo", "Siemens Osteo", (0.0, 200.0), "unknown"),
    _ha("qrm-bdc-3", "QRM-BDC 3-rod", (100.0, 400.0, 800.0), "BDC-71"),
    _ha("qrm-bdc-6", "QRM-BDC 6-rod", (0.0, 100.0, 200.0, 400.0, 600.0, 800.0), "BDC-106"),
    _ha("b-mas-200", "B-MAS 200", (0.0, 50.0, 100.0, 150.0, 200.0), "unknown"),
)


def find_phantom(name: str) -> Phantom:
    """Return a phantom by its name; case, spaces and underscores do not matter.

    Raises:
        InputError: there is none of that name; near ones, or all, are named.
    """
    wanted = "-".join(name.lower().replace("_", " ").replace("-", " ").split())
    by_name = {phantom.name: phantom for phantom in PHANTOMS}
    if wanted in by_name:
        return by_name[wanted]
    near = difflib.get_close_matches(wanted, by_name, n=2, cutoff=0.5)
    begun = [known for known in by_name if wanted and known.startswith(wanted)]
    hint = (
        f"did you mean {' or '.join(begun or near)}?"
        if begun or near
        else "known are " + (", ".join(by_name))
    )
    raise InputError(
        f"there is no phantom {name!r}; {hint} `qctkit calibrate --list` shows their rods; for "
        "another phantom, state its line"
    )
