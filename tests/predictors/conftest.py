import pytest

from qctkit.pipeline.simulate import simulate
from qctkit.progress import Silent
from qctkit.simulate import SimulationSettings
from qctkit.store.reader import CohortFile


@pytest.fixture(scope="session")
def coarse_cohort(tmp_path_factory: pytest.TempPathFactory) -> CohortFile:
    """Eight simulated subjects, for tests that train on a file."""
    path = tmp_path_factory.mktemp("cohort") / "real.h5"
    return simulate(path, Silent(), subjects=8, settings=SimulationSettings((5.0, 4.0, 4.0)))
