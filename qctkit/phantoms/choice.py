"""How a scan is to be calibrated, as a user states it in a table or by options."""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qctkit.calibration import CALIBRATION_COLUMNS, Calibration
from qctkit.errors import InputError
from qctkit.phantoms.rods import from_rod_mask, from_rods
from qctkit.phantoms.table import Phantom, find_phantom
from qctkit.phantoms.tissues import (
    DEFAULT_REFERENCE,
    TissueReference,
    Tissues,
    from_scan,
    from_tissues,
)
from qctkit.units import TUBE_VOLTAGES_KVP, Material
from qctkit.volume import Volume

LINE_COLUMNS = ("calibration_slope", "calibration_intercept", "calibration_material")


@dataclass(frozen=True)
class CalibrationChoice:
    """One way to calibrate a scan, or none.

    Attributes:
        line: the line itself, as stated.
        phantom: whose rods are given.
        rods_hu: mean HU of each rod, in the phantom's order.
        has_rod_mask: whether a mask of the rods comes with the scan.
        tissues: HU of air, fat and muscle as the user read them.
        reference: reference densities for air, fat and muscle; without ``tissues`` their peaks are
            found in the scan.
        tube_voltage_kvp: as stated.

    Raises:
        InputError: more than one way is stated, or half of one.
    """

    line: Calibration | None = None
    phantom: Phantom | None = None
    rods_hu: tuple[float, ...] | None = None
    has_rod_mask: bool = False
    tissues: Tissues | None = None
    reference: TissueReference | None = None
    tube_voltage_kvp: float | None = None

    def __post_init__(self) -> None:
        if len(self._ways) > 1:
            raise InputError(
                f"a scan has one calibration, but {' and '.join(self._ways)} are given; keep one"
            )
        if (self.rods_hu is not None or self.has_rod_mask) and self.phantom is None:
            raise InputError("rods are given without the name of their phantom; give it too")
        if self.phantom is not None and self.rods_hu is None and not self.has_rod_mask:
            raise InputError(
                f"the phantom {self.phantom.name} is named but none of its rods is given; give "
                "rods_hu or rods_mask"
            )

    @property
    def is_made(self) -> bool:
        """Whether a way is stated."""
        return bool(self._ways)

    def or_else(self, other: "CalibrationChoice") -> "CalibrationChoice":
        """Return this choice, or the other where this one states no way; its voltage is kept."""
        if self.is_made:
            return self
        return replace(other, tube_voltage_kvp=self.tube_voltage_kvp or other.tube_voltage_kvp)

    def calibration(
        self,
        volume: Volume | None = None,
        rod_labels: NDArray[np.integer] | None = None,
        scanned_kvp: float | None = None,
    ) -> Calibration | None:
        """Return the calibration of a scan, or None where no way is stated.

        ``volume`` is the whole scan, not one cropped to the bone; only a mask of rods and internal
        calibration look at it. ``rod_labels`` are those of the mask, ``scanned_kvp`` is what the
        scan's header says of the tube voltage; a stated voltage comes first.

        Raises:
            InputError: rods or tissues cannot be used.
        """
        kvp = self.tube_voltage_kvp or scanned_kvp
        if self.line is not None:
            return replace(self.line, tube_voltage_kvp=self.line.tube_voltage_kvp or kvp)
        if self.phantom is not None and self.rods_hu is not None:
            return from_rods(self.phantom, self.rods_hu, kvp)
        if self.tissues is not None:
            return from_tissues(self.tissues, self.reference or DEFAULT_REFERENCE, kvp)
        if not self.is_made:
            return None
        if volume is None:
            raise InputError(f"calibration by {self._ways[0]} needs the scan itself")
        if self.reference is not None:
            return from_scan(volume, self.reference, kvp)
        if self.phantom is None or rod_labels is None:
            raise InputError("the mask of rods is named but was not read")
        return from_rod_mask(volume, rod_labels, self.phantom, kvp)

    @property
    def _ways(self) -> list[str]:
        stated = {
            "a stated line": self.line is not None,
            "rods_hu": self.rods_hu is not None,
            "rods_mask": self.has_rod_mask,
            "air, fat and muscle": self.tissues is not None or self.reference is not None,
        }
        return [way for way, given in stated.items() if given]


def parse_choice(cells: Mapping[str, str], phantom: str | None = None) -> CalibrationChoice:
    """Return what the cells of ``CALIBRATION_COLUMNS`` say; absent and empty cells say nothing.

    ``phantom`` is the name for rods in rows that name none (``--phantom``).

    Raises:
        InputError: a cell cannot be read, or the cells state more or less than one way.
    """
    given = {
        name: cells[name].strip() for name in CALIBRATION_COLUMNS if cells.get(name, "").strip()
    }
    has_rods = "rods_hu" in given or "rods_mask" in given
    name = given.get("phantom") or (phantom if has_rods else None)
    used = find_phantom(name) if name else None
    voltage = given.get("tube_voltage_kvp")
    if "rods_hu" in given and used is None:
        raise InputError("rods_hu is given without the name of the phantom; give it too")
    return CalibrationChoice(
        line=_stated_line(given),
        phantom=used,
        rods_hu=parse_rods_hu(given["rods_hu"], used) if used and "rods_hu" in given else None,
        has_rod_mask="rods_mask" in given,
        tissues=parse_tissues_hu(given["tissues_hu"]) if "tissues_hu" in given else None,
        tube_voltage_kvp=parse_tube_voltage_kvp(voltage) if voltage else None,
    )


def parse_line(slope: str, intercept: str, material: str) -> Calibration:
    """Return the line that three texts state, such as ``0.8003``, ``8.12`` and ``K2HPO4``.

    Raises:
        InputError: a number or the material cannot be read, or a value is impossible.
    """
    return Calibration(
        _number(slope, "slope"), _number(intercept, "intercept"), parse_material(material)
    )


def parse_material(text: str) -> Material:
    """Return the reference material of a name; case does not matter.

    Raises:
        InputError: it is neither K2HPO4 nor HA.
    """
    by_name = {material.value.lower(): material for material in Material}
    by_name |= {"hydroxyapatite": Material.HA, "dipotassium phosphate": Material.K2HPO4}
    wanted = text.strip().lower()
    if wanted in by_name:
        return by_name[wanted]
    near = difflib.get_close_matches(wanted, by_name, n=1, cutoff=0.5)
    hint = f"; did you mean {by_name[near[0]]}?" if near else ""
    raise InputError(f"the reference material is K2HPO4 or HA, not {text!r}{hint}")


def parse_rods_hu(text: str, phantom: Phantom) -> tuple[float, ...]:
    """Return the mean HU of a phantom's rods, in its order.

    The text is ``462.9;345.7;176.7;-35.4;-69.5`` in the phantom's order, or has the rods' names,
    in any order: ``A=-69.5;B=-35.4;...``.

    Raises:
        InputError: a value is no number, or rods are missing, unknown or named twice.
    """
    parts = _parts(text, "rods", "462.9;345.7;176.7")
    if not any("=" in part for part in parts):
        return tuple(_number(part, f"rod {number}") for number, part in enumerate(parts, start=1))
    named = [tuple(half.strip() for half in part.partition("=")[::2]) for part in parts]
    names = [rod.name for rod in phantom.rods]
    if sorted(name.upper() for name, _ in named) != sorted(names):
        raise InputError(
            f"the rods of {phantom.title} are {', '.join(names)}, each to be given once; got "
            f"{', '.join(name or '(no name)' for name, _ in named)}"
        )
    values = {name.upper(): _number(value, f"rod {name}") for name, value in named}
    return tuple(values[name] for name in names)


def parse_tissues_hu(text: str) -> Tissues:
    """Return the HU of air, fat and muscle that a text such as ``-998;-104;52`` states.

    Raises:
        InputError: they are not three numbers, or not where the tissues can be.
    """
    parts = _parts(text, "air, fat and muscle", "-998;-104;52")
    if len(parts) != 3:
        raise InputError(f"give the HU of air, fat and muscle, such as -998;-104;52; got {text!r}")
    air, fat, muscle = (
        _number(part, tissue) for part, tissue in zip(parts, ("air", "fat", "muscle"), strict=True)
    )
    return Tissues(air, fat, muscle)


def parse_tube_voltage_kvp(text: str) -> float:
    """Return a tube voltage in kVp.

    Raises:
        InputError: it is no number, or not a tube's.
    """
    low, high = TUBE_VOLTAGES_KVP
    value = _number(text, "tube voltage")
    if not low <= value <= high:
        raise InputError(f"a tube voltage of {text} kVp is impossible; it is {low:g} to {high:g}")
    return value


def _stated_line(given: Mapping[str, str]) -> Calibration | None:
    stated = [name for name in LINE_COLUMNS if name in given]
    if not stated:
        return None
    missing = [name for name in LINE_COLUMNS if name not in given]
    if missing:
        raise InputError(
            f"{' and '.join(stated)} given without {' and '.join(missing)}; a line needs slope, "
            "intercept and material"
        )
    slope, intercept, material = (given[name] for name in LINE_COLUMNS)
    return parse_line(slope, intercept, material)


def _parts(text: str, what: str, example: str) -> list[str]:
    if "," in text:
        raise InputError(
            f"the HU of {what} are separated by semicolons, decimals by a point: {example}; got "
            f"{text!r}"
        )
    return [part.strip() for part in text.strip().strip(";").split(";")]


def _number(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{what}: {text!r} is not a number")
    return value
