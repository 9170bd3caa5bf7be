"""Do the density analysis's intervals cover a relation that was planted? 100 cohorts each.

Cohorts of simulated people in whom density falls with weight (the peak moves right as weight
falls, as in the source study), rises with it, or has nothing to do with it. To be cheap, no volume
is rendered anew: a few old femurs are rendered once, and every person has the voxels of one of
them, all moved by the same HU, which plants the slope exactly. Age and sex are planted as well, so
that adjusting matters, and people differ by 25 HU beyond all three. From histogram to interval the
code is that of `qctkit validate --figures`.

The three kinds are the same people with another slope, to be compared: not three draws.

Samples are made of each cohort's people with other people's labels, with the real slope or with
none, to see whether the test of equal slopes holds its 5 % and finds a difference.

    python benchmarks/planted_slopes.py [--cohorts 100] [--subjects 29]
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qctkit.analysis.measures import CORTICAL, PEAK, TRABECULAR
from qctkit.analysis.relations import Comparison, Rows, compare
from qctkit.density import CORE_DEPTH_MM, SHELL_DEPTH_MM, band_histogram, depths, peaks_hu
from qctkit.simulate import Person, draw_person, simulate_person
from qctkit.subject import ATTRIBUTES
from qctkit.window import DEFAULT_BONE_BAND, DEFAULT_WINDOW

SLOPES_HU_PER_KG = {"right": -1.5, "left": 1.5, "none": 0.0}
"""Where the peak moves as weight falls."""

AGE_HU_PER_YEAR, SEX_HU, OWN_SD_HU = -0.5, 15.0, 25.0
MEAN_WEIGHT_KG, MEAN_AGE_YEARS = 72.0, 57.0

BASES, BASE_SEED, BASE_AGE_YEARS = 6, 900, 70.0
PEAK_AWAY_HU = 130.0
"""Old femurs are taken whose one peak lies so far from the band's ends, with no other so near to
it outside: of two peaks the highest is followed, and it may change from one to the other, which is
no slope. In most simulated femurs it does."""

EVERY = 3
"""Of a femur's voxels each third is enough for its histogram."""

MEASURES = (TRABECULAR, CORTICAL, PEAK)
WEIGHT = "weight_kg"


@dataclass(frozen=True, eq=False)
class Base:
    """The voxels of a rendered femur, HU, and which are trabecular and cortical."""

    values: NDArray[np.float64]
    core: NDArray[np.bool_]
    shell: NDArray[np.bool_]

    def figures(self, shift_hu: float) -> list[float]:
        """Return trabecular and cortical density and the peak, after a shift of all voxels."""
        moved = self.values + shift_hu
        peaks = peaks_hu(*band_histogram(moved, LIMITS_HU), LIMITS_HU)
        top = peaks[0] if peaks else float("nan")
        return [float(moved[self.core].mean()), float(moved[self.shell].mean()), top]


LIMITS_HU = DEFAULT_BONE_BAND.limits_hu(DEFAULT_WINDOW)


def main() -> None:
    """Print how often intervals cover the planted slope."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cohorts", type=int, default=100)
    parser.add_argument("--subjects", type=int, default=29)
    given = parser.parse_args()
    bases = rendered_bases()
    print(f"{len(bases)} femurs rendered; {given.cohorts} cohorts of {given.subjects} subjects\n")
    head = ("covered", "sign found", "mean slope", "made slope", "equal refuted", "none refuted")
    print(f"| planted | measure | {' | '.join(head)} |\n|---|---|{'---|' * len(head)}")
    for name, slope in SLOPES_HU_PER_KG.items():
        found = [cohort(bases, number, given.subjects, slope) for number in range(given.cohorts)]
        for place, measure in enumerate(MEASURES):
            row = [(same[place], other[place]) for same, other in found]
            print(f"| {name} | {measure} | {' | '.join(_cells(row, slope))} |", flush=True)


def rendered_bases() -> list[Base]:
    """Return old femurs whose histogram has one peak well inside the bone band."""
    found: list[Base] = []
    index = 0
    while len(found) < BASES:
        person = draw_person(BASE_SEED, index)
        index += 1
        if person.age_years < BASE_AGE_YEARS:
            continue
        sample = simulate_person(person)
        inside, depth = depths(sample.femur, sample.volume.spacing_mm)
        values = sample.volume.voxels[inside].astype(np.float64)[::EVERY]
        depth = depth[::EVERY]
        if _has_one_peak(values):
            found.append(Base(values, depth >= CORE_DEPTH_MM, depth <= SHELL_DEPTH_MM))
    return found


def cohort(
    bases: Sequence[Base], number: int, subjects: int, slope: float
) -> tuple[list[Comparison], list[Comparison]]:
    """Return real against made, a comparison a measure: made with the real slope, and with none."""
    random = np.random.default_rng([number, subjects])
    people = [draw_person(BASE_SEED + 1 + number, index) for index in range(subjects)]
    own = random.normal(0.0, OWN_SD_HU, subjects)
    femurs = [bases[one] for one in random.integers(len(bases), size=subjects)]
    targets = [people[one] for one in random.permutation(subjects)]
    real = _table(people, people, femurs, own, slope)
    compared = []
    for made_slope in (slope, 0.0):
        made = _table(targets, people, femurs, own, made_slope)
        compared.append(
            [compare(name, WEIGHT, real[place], made[place]) for place, name in enumerate(MEASURES)]
        )
    return compared[0], compared[1]


def _has_one_peak(values: NDArray[np.float64]) -> bool:
    low, high = LIMITS_HU
    about = low - PEAK_AWAY_HU, high + PEAK_AWAY_HU
    peaks = peaks_hu(*band_histogram(values, LIMITS_HU), about)
    return len(peaks) == 1 and low + PEAK_AWAY_HU < peaks[0] < high - PEAK_AWAY_HU


def _table(
    labels: Sequence[Person],
    sources: Sequence[Person],
    femurs: Sequence[Base],
    own: NDArray[np.float64],
    slope: float,
) -> list[Rows]:
    figures = np.array(
        [
            femur.figures(_planted(person, slope) + deviation)
            for person, femur, deviation in zip(labels, femurs, own, strict=True)
        ]
    )
    attributes = {
        name: np.array([one.subject.value(name) for one in labels], dtype=float)
        for name in ATTRIBUTES
    }
    groups = np.array([one.person_id for one in sources])
    return [Rows(figures[:, place], attributes, groups) for place in range(len(MEASURES))]


def _planted(person: Person, slope: float) -> float:
    return (
        slope * (person.weight_kg - MEAN_WEIGHT_KG)
        + AGE_HU_PER_YEAR * (person.age_years - MEAN_AGE_YEARS)
        + SEX_HU * person.sex.code
    )


def _cells(rows: Sequence[tuple[Comparison, Comparison]], slope: float) -> list[str]:
    slopes = [same.real.slope for same, _ in rows if same.real is not None]
    covered = sum(not one.excludes(slope) for one in slopes)
    if slope == 0.0:
        sign = sum(not one.excludes(0.0) for one in slopes)
    else:
        sign = sum(one.excludes(0.0) and one.value * slope > 0 for one in slopes)
    made = [same.made.slope.value for same, _ in rows if same.made is not None]
    equal = sum((same.p_equal or 1.0) < 0.05 for same, _ in rows)
    none = sum((other.p_equal or 1.0) < 0.05 for _, other in rows)
    return [
        f"{covered} of {len(slopes)}",
        str(sign),
        f"{np.mean([one.value for one in slopes]):+.2f}",
        f"{np.mean(made):+.2f}",
        str(equal),
        "-" if slope == 0.0 else str(none),
    ]


if __name__ == "__main__":
    main()
