"""Parameters to a cohort: an analytic proximal femur in HU with known truth."""

from qctkit.simulate.person import Person, Variation, counterfactual, draw_person, person_of
from qctkit.simulate.settings import SimulationSettings
from qctkit.simulate.simulation import (
    simulate_cohort,
    simulate_counterfactual,
    simulate_person,
)
from qctkit.simulate.truth import truth_of

__all__ = [
    "Person",
    "SimulationSettings",
    "Variation",
    "counterfactual",
    "draw_person",
    "person_of",
    "simulate_cohort",
    "simulate_counterfactual",
    "simulate_person",
    "truth_of",
]
