"""How near a sample came to being refused, from the figures of its verdicts."""

from collections.abc import Callable, Mapping
from statistics import fmean

from qctkit.cohort import Record
from qctkit.contracts import Role
from qctkit.validators.attributes import ERRORS_ALLOWED, SHARE_OF_CHANGE
from qctkit.validators.density import SPREADS_ALLOWED
from qctkit.validators.noise_texture import ALLOWED, BANDS
from qctkit.validators.structure import LEAST_CORRELATION


def strains(record: Record) -> dict[str, float]:
    """Return by validator how much of what it tolerates a sample uses up; 1 is the limit.

    A validator is left out where it measured nothing that has a limit, as those of plugins are,
    whose limits are not known here. Density may stand above 1 where the source did already.
    """
    found = {}
    for verdict in record["verdicts"]:
        measure = MEASURES.get(verdict["validator"])
        used = measure(record, verdict["figures"]) if measure else []
        if used:
            found[str(verdict["validator"])] = max(used)
    return found


def _attributes(record: Record, _: Mapping[str, float]) -> list[float]:
    """Return for each carried attribute by how much of what they may its readers miss together."""
    found = []
    for name in record["carried"]:
        readings = [
            one
            for one in record["readings"]
            if one["role"] == Role.READER and one["can_read"] and one["attribute"] == name
        ]
        if readings:
            missed, asked = (
                abs(fmean((one[now] - one[then]) / one["typical_error"] for one in readings))
                for now, then in (("after", "expected"), ("expected", "before"))
            )
            found.append(missed / max(SHARE_OF_CHANGE * asked, ERRORS_ALLOWED))
    return found


def _density(_: Record, figures: Mapping[str, float]) -> list[float]:
    names = ("trabecular_spreads_from_line", "cortical_spreads_from_line")
    return [figures[name] / SPREADS_ALLOWED for name in names if name in figures]


def _noise(_: Record, figures: Mapping[str, float]) -> list[float]:
    ratios = (figures.get(f"{name}_power_ratio") for name in BANDS)
    return [abs(ratio - 1.0) / ALLOWED for ratio in ratios if ratio is not None]


def _structure(_: Record, figures: Mapping[str, float]) -> list[float]:
    correlation = figures.get("correlation_inside_femur")
    return [] if correlation is None else [(1.0 - correlation) / (1.0 - LEAST_CORRELATION)]


MEASURES: Mapping[str, Callable[[Record, Mapping[str, float]], list[float]]] = {
    "attributes": _attributes,
    "density": _density,
    "noise-texture": _noise,
    "structure": _structure,
}
