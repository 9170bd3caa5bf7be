from collections.abc import Callable

import pytest

from qctkit.contracts import Role
from qctkit.pipeline.simulate import simulate
from qctkit.predictors.density import DensityFamily
from qctkit.predictors.skill import Response, Skill
from qctkit.predictors.trained import PredictorSet, TrainedPredictor
from qctkit.predictors.training import see_cohort
from qctkit.progress import Silent
from qctkit.simulate import SimulationSettings
from qctkit.store.reader import CohortFile
from qctkit.view import View

ATTRIBUTES = ("sex", "age_years", "weight_kg")


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> CohortFile:
    path = tmp_path_factory.mktemp("cohort") / "real.h5"
    settings = SimulationSettings((4.0, 3.0, 3.0))
    return simulate(path, Silent(), subjects=10, settings=settings)


@pytest.fixture(scope="session")
def trained(
    real: CohortFile, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., PredictorSet]:
    """Return density models in both roles, whose skill on unseen subjects is planted."""
    seen = see_cohort(real, tmp_path_factory.mktemp("views"), View())
    family = DensityFamily()
    module = family.fit(seen.data, ATTRIBUTES, seed=0)

    def make(r2_low: float = 0.5, reader_slope: float = 0.6) -> PredictorSet:
        def one(name: str, role: Role, slope: float) -> TrainedPredictor:
            skill = Skill(10, {"r2": 0.6, "rmse": 9.0}, Response(slope, 0.0, 9.0), r2_low)
            skills = dict.fromkeys(ATTRIBUTES, skill)
            return TrainedPredictor(name, family.name, role, ATTRIBUTES, View(), module, skills, {})

        inside = one("bone-density", Role.LOOP, 0.6)
        outside = one("reader-network", Role.READER, reader_slope)
        return PredictorSet((inside, outside), {}, {"seed": 0})

    return make
