"""A few samples, made once for all tests that look at a whole run."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from qctkit.contracts import Recipe
from qctkit.registry import Registry
from qctkit.simulate import SimulationSettings
from qctkit.store.reader import CohortFile

SUBJECTS, WANTED = 7, 6
COARSE = SimulationSettings((5.0, 4.0, 4.0))


@dataclass(frozen=True)
class SmallRun:
    """The files of a run."""

    real: Path
    made: Path

    @property
    def cohorts(self) -> tuple[CohortFile, CohortFile]:
        """Made samples and their sources."""
        return CohortFile(self.made), CohortFile(self.real)


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    """Simulate people on a coarse grid and ask each to be older or younger by the density loop."""
    from qctkit.engine.targets import Target
    from qctkit.pipeline.augment import AugmentOptions, augment
    from qctkit.pipeline.simulate import simulate
    from qctkit.progress import Silent
    from qctkit.registry import load_registry

    folder = tmp_path_factory.mktemp("run")
    run = SmallRun(folder / "real.h5", folder / "made.h5")
    real = simulate(run.real, Silent(), subjects=SUBJECTS, settings=COARSE)
    targets = tuple(
        Target(one, {"age_years": (real.subject(one).age_years or 0.0) + 12.0 - 3.0 * place})
        for place, one in enumerate(real.sample_ids)
    )
    registry = load_registry()
    options = AugmentOptions(WANTED, seed=3, targets=targets)
    recipe, predictors = small_recipe(registry), small_predictors(real, folder)
    augment(real, recipe, predictors, registry, options, run.made, Silent())
    return run


def small_recipe(registry: Registry) -> Recipe:
    """Return femur-density as a short loop of one predictor, with no atlas to learn."""
    return replace(
        registry.recipe("femur-density"),
        predictors=("bone-density",),
        edits=("density-field",),
        from_atlas=False,
        follows_measures=False,
        steps=12,
    )


def small_predictors(real: CohortFile, folder: Path):  # type: ignore[no-untyped-def] # loads torch
    """Return density models in both roles, whose skill on unseen subjects is planted."""
    from qctkit.contracts import Role
    from qctkit.predictors.density import DensityFamily
    from qctkit.predictors.skill import Response, Skill
    from qctkit.predictors.trained import PredictorSet, TrainedPredictor
    from qctkit.predictors.training import see_cohort
    from qctkit.view import View

    names = ("sex", "age_years", "weight_kg")
    family = DensityFamily()
    module = family.fit(see_cohort(real, folder, View()).data, names, seed=0)
    skill = Skill(10, {"r2": 0.6, "rmse": 9.0}, Response(0.6, 0.0, 9.0), 0.5)
    skills = dict.fromkeys(names, skill)
    inside, outside = (
        TrainedPredictor(name, family.name, role, names, View(), module, skills, {})
        for name, role in (("bone-density", Role.LOOP), ("reader-network", Role.READER))
    )
    return PredictorSet((inside, outside), {}, {"seed": 0, "subjects": SUBJECTS})
