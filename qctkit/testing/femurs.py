"""Femurs to check components on: a ball on a tube in HU, made in milliseconds."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from qctkit.cohort import FemurMask, MaskOrigin, Sample, Side
from qctkit.density import DensityReference, density_reference, measure_density
from qctkit.geometry import Geometry
from qctkit.subject import CORE, Attribute, Origin, Sex, Subject, known_attribute
from qctkit.volume import Volume

SHAPE = (40, 32, 32)
SPACING_MM = 3.0
HEAD_RADIUS_MM = 24.0
SHAFT_RADIUS_MM = 17.0
CORTEX_MM = 4.5
SOFT_TISSUE_HU = 40.0


def make_femur(
    sample_id: str = "A",
    *,
    subject: Subject | None = None,
    side: Side = Side.LEFT,
    core_hu: float = 250.0,
    cortex_hu: float = 900.0,
    noise_hu: float = 20.0,
    seed: int = 0,
) -> Sample:
    """Return a femur of ``(40, 32, 32)`` voxels of 3 mm, of a woman of 70 years unless given."""
    depth_mm = _depth_mm(side)
    hu = np.select([depth_mm > CORTEX_MM, depth_mm > 0], [core_hu, cortex_hu], SOFT_TISSUE_HU)
    hu = np.rint(hu + noise_hu * np.random.default_rng(seed).standard_normal(SHAPE))
    geometry = Geometry.from_spacing(SHAPE, (SPACING_MM,) * 3, (10.0, -20.0, 30.0))
    return Sample(
        sample_id,
        subject or Subject(sample_id, Sex.F, 70.0, 65.0),
        Volume(hu, geometry),
        FemurMask(depth_mm > 0, side, MaskOrigin.SIMULATED),
    )


def make_people(count: int = 12) -> tuple[Sample, ...]:
    """Return subjects whose core thins with age and whose cortex follows weight."""
    generator = np.random.default_rng(3)
    samples = []
    for number in range(count):
        age, weight = generator.uniform(40, 90), generator.uniform(45, 100)
        sex = Sex.M if number % 2 else Sex.F
        samples.append(
            make_femur(
                f"P{number:02d}",
                subject=Subject(f"P{number:02d}", sex, float(age), float(weight)),
                side=Side.RIGHT if number % 3 else Side.LEFT,
                core_hu=500.0 - 4.0 * age,
                cortex_hu=500.0 + 6.0 * weight,
                seed=number,
            )
        )
    return tuple(samples)


@lru_cache(maxsize=1)
def make_reference() -> DensityReference:
    """Return the densities of those subjects, for validators."""
    people = make_people()
    figures = [measure_density(one.volume, one.femur) for one in people]
    return density_reference([one.subject for one in people], figures)


def with_attributes(people: tuple[Sample, ...], names: Sequence[str]) -> tuple[Sample, ...]:
    """Return the subjects with values of attributes that the core does not know.

    Nothing in the images follows them: they lie evenly over the middle half of what people can
    have, those of binary ones in turn.

    Raises:
        InputError: an attribute is not known: no plugin registers it.
    """
    values = {
        name: _over_the_middle(known_attribute(name), len(people))
        for name in names
        if name not in CORE
    }
    return tuple(
        replace(
            one,
            subject=one.subject.with_values(
                {name: column[row] for name, column in values.items()}, Origin.TABLE
            ),
        )
        for row, one in enumerate(people)
    )


def _over_the_middle(attribute: Attribute, count: int) -> list[float]:
    if attribute.kind == "binary":
        return [float(row % 2) for row in range(count)]
    quarter = (attribute.high - attribute.low) / 4.0
    ends = attribute.low + quarter, attribute.high - quarter
    return [float(value) for value in np.linspace(*ends, count)]


def with_unknowns(people: tuple[Sample, ...]) -> tuple[Sample, ...]:
    """Return the subjects, one of them of unknown age and another of unknown weight."""
    first, second, *others = people
    ageless = replace(first, subject=replace(first.subject, age_years=None))
    weightless = replace(second, subject=replace(second.subject, weight_kg=None))
    return (ageless, weightless, *others)


def _depth_mm(side: Side) -> NDArray[np.float64]:
    """Return the depth below the surface of each voxel, mm; negative outside."""
    d, h, w = (np.indices(SHAPE) + 0.5) * SPACING_MM
    centre = np.array([SHAPE[1], SHAPE[2]]) / 2 * SPACING_MM
    medial = 8.0 if side is Side.LEFT else -8.0
    ball = np.sqrt((d - 88.0) ** 2 + (h - centre[0]) ** 2 + (w - centre[1] - medial) ** 2)
    tube = np.sqrt((h - centre[0]) ** 2 + (w - centre[1]) ** 2)
    shaft = np.where((d > 8.0) & (d < 90.0), SHAFT_RADIUS_MM - tube, -100.0)
    depth: NDArray[np.float64] = np.maximum(HEAD_RADIUS_MM - ball, shaft)
    return depth
