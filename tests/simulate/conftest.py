from collections.abc import Callable

import pytest

from qctkit.cohort import Sample
from qctkit.simulate import (
    Person,
    SimulationSettings,
    counterfactual,
    draw_person,
    simulate_person,
    truth_of,
)
from qctkit.simulate.person import MEDIAN_BODY_MASS_INDEX
from qctkit.subject import Sex

SEED = 11
PEOPLE = 30


@pytest.fixture(scope="session")
def coarse() -> SimulationSettings:
    return SimulationSettings(spacing_mm=(3.0, 2.5, 2.5))


@pytest.fixture(scope="session")
def person() -> Person:
    return draw_person(SEED, 1)


@pytest.fixture(scope="session")
def sample(person: Person) -> Sample:
    """One subject at the default settings."""
    return simulate_person(person)


@pytest.fixture(scope="session")
def group() -> Callable[[Sex, float], list[dict[str, float]]]:
    """Truth of the same individuals at one sex and age, each at the median body mass index."""
    known: dict[tuple[Sex, float], list[dict[str, float]]] = {}

    def figures(sex: Sex, age_years: float) -> list[dict[str, float]]:
        key = (sex, age_years)
        if key not in known:
            people = [
                counterfactual(draw_person(SEED, i), sex=sex, age_years=age_years)
                for i in range(PEOPLE)
            ]
            index = MEDIAN_BODY_MASS_INDEX[sex]
            known[key] = [
                truth_of(counterfactual(p, weight_kg=index * p.height_m**2)) for p in people
            ]
        return known[key]

    return figures
