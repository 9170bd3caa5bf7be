"""Who is simulated: attributes, and the individual variation that stays when they change."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import Any

import numpy as np

from qctkit.cohort import Record, Sample
from qctkit.errors import InputError
from qctkit.subject import Origin, Sex, Subject

PROVENANCE_KEY = "simulator"

AGE_RANGE_YEARS = (25.0, 90.0)
"""Ages are drawn evenly over this range [A]; the published cohorts span 20 to 97 years."""

MEAN_HEIGHT_M = {Sex.F: 1.62, Sex.M: 1.75}
HEIGHT_SD_M = {Sex.F: 0.065, Sex.M: 0.07}
"""Men 174.5 +/- 7 cm in MrOS (PMC2743283 table 2); women [A]."""

MEDIAN_BODY_MASS_INDEX = {Sex.F: 25.8, Sex.M: 26.8}
BODY_MASS_INDEX_LOG_SD = {Sex.F: 0.17, Sex.M: 0.14}
"""Men 27 to 28 +/- 4 kg/m2 in MrOS (same table); women [A]. Log-normal, so skewed to the heavy."""

WEIGHT_RANGE_KG = (40.0, 140.0)
LARGEST_VARIATION_SD = 2.5
"""Individual variation is cut here, so that nobody falls out of the field of view [A]."""


class Stream(IntEnum):
    """Independent random streams of one person; each is drawn whatever the others do."""

    ATTRIBUTES = 0
    VARIATION = 1
    TRABECULAE = 2
    SOFT_TISSUE = 3
    NOISE = 4


@dataclass(frozen=True)
class Variation:
    """How a person differs from the mean of their attributes, each in standard deviations.

    Attributes:
        height: body height.
        head_size, neck_size, hip_axis, shaft_size: lengths of the bone; each leans on ``height``.
        neck_shaft_angle, version: angles of the neck.
        bone_mass: shared by trabecular density and cortical thickness.
        trabecular, cortical_thickness, cortical_density: beyond what is shared.
        soft_tissue: fat over the trochanter at the same body mass index.
        joint_space: cartilage thickness.
        tilt, flexion, rotation: how the leg lies in the scanner.
        superior_cortex, inferior_cortex, side_cortex, shaft_cortex: thickness at one site beyond
            what the whole cortex shares.
        body_depth: extent from front to back at the same body mass index.
        muscle_attenuation: fat within muscle fibres; ``muscle_fat``: fat between muscles; both
            beyond age.
    """

    height: float
    head_size: float
    neck_size: float
    hip_axis: float
    shaft_size: float
    neck_shaft_angle: float
    version: float
    bone_mass: float
    trabecular: float
    cortical_thickness: float
    cortical_density: float
    soft_tissue: float
    joint_space: float
    tilt: float
    flexion: float
    rotation: float
    superior_cortex: float
    inferior_cortex: float
    side_cortex: float
    shaft_cortex: float
    body_depth: float
    muscle_attenuation: float
    muscle_fat: float


@dataclass(frozen=True)
class Person:
    """A simulated person: attributes and individual variation, independent of each other.

    ``seed`` and ``index`` also fix the trabecular pattern, the muscles and the scan's noise.
    """

    seed: int
    index: int
    sex: Sex
    age_years: float
    weight_kg: float
    variation: Variation

    @property
    def person_id(self) -> str:
        """A pseudonym, unique within a seed."""
        return f"sim-{self.index:04d}"

    @property
    def height_m(self) -> float:
        """Body height, m."""
        return MEAN_HEIGHT_M[self.sex] + HEIGHT_SD_M[self.sex] * self.variation.height

    @property
    def body_mass_index(self) -> float:
        """Weight over height squared, kg/m2."""
        return self.weight_kg / self.height_m**2

    @property
    def subject(self) -> Subject:
        """The person as any other subject."""
        origins = dict.fromkeys(("sex", "age_years", "weight_kg"), Origin.SIMULATED)
        return Subject(self.person_id, self.sex, self.age_years, self.weight_kg, origins)

    def random(self, stream: Stream) -> np.random.Generator:
        """Return a fresh generator of one of this person's streams."""
        return _generator(self.seed, self.index, stream)

    def record(self) -> dict[str, Any]:
        """Return what ``person_of`` needs to make this person again."""
        return {
            "seed": self.seed,
            "index": self.index,
            "sex": self.sex.value,
            "age_years": self.age_years,
            "weight_kg": self.weight_kg,
        }


def draw_person(seed: int, index: int) -> Person:
    """Return person ``index`` of a seed, the same whatever the number of people drawn.

    Ages are even over 25 to 90 years; of each two people (0 and 1, 2 and 3, ...) one is a woman
    and one a man, in random order; weight follows from height and a log-normal body mass index.

    Raises:
        InputError: seed or index is negative.
    """
    if seed < 0 or index < 0:
        raise InputError(f"seed and index must not be negative, got {seed} and {index}")
    variation = _draw_variation(seed, index)
    sex = _draw_sex(seed, index)
    random = _generator(seed, index, Stream.ATTRIBUTES)
    age_years = random.uniform(*AGE_RANGE_YEARS)
    spread = BODY_MASS_INDEX_LOG_SD[sex] * random.standard_normal()
    height_m = MEAN_HEIGHT_M[sex] + HEIGHT_SD_M[sex] * variation.height
    weight_kg = MEDIAN_BODY_MASS_INDEX[sex] * np.exp(spread) * height_m**2
    return Person(
        seed,
        index,
        sex,
        round(float(age_years), 1),
        round(float(np.clip(weight_kg, *WEIGHT_RANGE_KG)), 1),
        variation,
    )


def counterfactual(
    person: Person,
    *,
    sex: Sex | None = None,
    age_years: float | None = None,
    weight_kg: float | None = None,
) -> Person:
    """Return the same individual with other attributes; those not given are kept."""
    changed = replace(
        person,
        sex=person.sex if sex is None else sex,
        age_years=person.age_years if age_years is None else float(age_years),
        weight_kg=person.weight_kg if weight_kg is None else float(weight_kg),
    )
    _ = changed.subject  # refuses ages and weights out of range
    return changed


FIGURES: Mapping[str, Callable[[Person], float]] = {
    "height_cm": lambda person: 100.0 * person.height_m,
    "body_mass_index_kg_m2": lambda person: person.body_mass_index,
}
"""What the simulator knows of a person beyond the core's attributes, by the name under which a
plugin may register it."""


def figures_of(person: Person, names: Sequence[str]) -> dict[str, float]:
    """Return figures of a person by name, rounded as a clinic would state them.

    Raises:
        InputError: the simulator cannot tell one.
    """
    for name in names:
        if name not in FIGURES:
            raise InputError(f"the simulator cannot tell {name!r}; it can: {', '.join(FIGURES)}")
    return {name: round(FIGURES[name](person), 1) for name in names}


def person_of(made: Sample | Record) -> Person:
    """Return the person whose body a sample (or a sample's provenance) shows.

    Raises:
        InputError: the sample does not come from the simulator.
    """
    provenance: Mapping[str, Any] = made.provenance if isinstance(made, Sample) else made
    record = provenance.get(PROVENANCE_KEY)
    if not isinstance(record, Mapping):
        raise InputError(
            f"the provenance holds no {PROVENANCE_KEY!r} record; only simulated samples have one"
        )
    return person_from_record(record)


def person_from_record(record: Record) -> Person:
    """Return the person that ``Person.record`` described.

    Raises:
        InputError: an entry is missing.
    """
    try:
        seed, index = int(record["seed"]), int(record["index"])
        sex, age_years, weight_kg = Sex(record["sex"]), record["age_years"], record["weight_kg"]
    except KeyError as missing:
        raise InputError(f"the simulator's record lacks {missing}") from missing
    return counterfactual(
        draw_person(seed, index), sex=sex, age_years=age_years, weight_kg=weight_kg
    )


def _draw_sex(seed: int, index: int) -> Sex:
    pair, place = divmod(index, 2)
    man_first = bool(_generator(seed, 2 * pair, Stream.ATTRIBUTES).spawn(1)[0].integers(2))
    return Sex.M if man_first == (place == 0) else Sex.F


def _draw_variation(seed: int, index: int) -> Variation:
    names = [field.name for field in fields(Variation)]
    values = _generator(seed, index, Stream.VARIATION).standard_normal(len(names))
    values = np.clip(values, -LARGEST_VARIATION_SD, LARGEST_VARIATION_SD)
    return Variation(**dict(zip(names, values.tolist(), strict=True)))


def _generator(seed: int, index: int, stream: Stream) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed, index, int(stream)]))
