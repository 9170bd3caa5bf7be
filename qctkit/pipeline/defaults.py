"""What `qctkit augment` uses when not given a cohort or predictors: made once, then cached."""

import hashlib
import os
from dataclasses import asdict
from pathlib import Path

from qctkit.pipeline.simulate import DEFAULT_SUBJECTS, simulate
from qctkit.pipeline.train import save_predictors, train
from qctkit.pipeline.versions import versions
from qctkit.predictors.configuration import TrainingConfiguration
from qctkit.predictors.trained import PredictorSet, load_predictors
from qctkit.predictors.training import TrainingSettings
from qctkit.progress import Progress
from qctkit.registry import Registry
from qctkit.simulate import SimulationSettings
from qctkit.store.encode import to_json
from qctkit.store.reader import CohortFile

VARIABLE = "QCTKIT_CACHE"


def cache_folder() -> Path:
    """Return where cached files lie: ``QCTKIT_CACHE``, or ``qctkit`` in the user's cache folder."""
    if VARIABLE in os.environ:
        return Path(os.environ[VARIABLE])
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "qctkit"


def default_cohort(progress: Progress) -> CohortFile:
    """Return the embedded default: 29 simulated subjects, as many as the source study had."""
    settings = SimulationSettings()
    key = _key({"settings": asdict(settings), "versions": versions()})
    path = cache_folder() / f"simulated-{DEFAULT_SUBJECTS}-{key}.h5"
    if path.exists():
        progress.say(f"no cohort given: using the simulated one in {path}")
        return CohortFile(path)
    progress.say(f"no cohort given: simulating {DEFAULT_SUBJECTS} subjects into {path}")
    # Parts that an interrupted run left in the cache are nobody's work; start again.
    return simulate(path, progress, settings=settings, overwrite=True)


def default_predictors(
    cohort: CohortFile, registry: Registry, settings: TrainingSettings, progress: Progress
) -> PredictorSet:
    """Return predictors for exactly this cohort, configuration and set of versions."""
    families = TrainingConfiguration().chosen(registry.families())
    asked = {
        "cohort": cohort.fingerprint,
        "families": [repr(family) for family in families],
        "folds": settings.folds,
        "seed": settings.seed,
        "versions": versions(),
    }
    folder = cache_folder() / f"predictors-{_key(asked)}"
    if folder.exists():
        progress.say(f"using the predictors trained for this cohort in {folder}")
    else:
        progress.say(f"training predictors for this cohort into {folder}")
        trained = train(cohort, families, settings, progress)
        save_predictors(trained, folder, overwrite=True)
    return load_predictors(folder, registry.family)


def _key(record: object) -> str:
    return hashlib.sha256(to_json(record).encode()).hexdigest()[:12]
