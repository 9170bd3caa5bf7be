"""``qctkit simulate``: a cohort with known truth."""

from dataclasses import asdict
from pathlib import Path

from qctkit.pipeline.versions import versions
from qctkit.progress import Progress
from qctkit.simulate import SimulationSettings, simulate_cohort
from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter

DEFAULT_SUBJECTS = 29


def simulate(
    output: Path,
    progress: Progress,
    *,
    subjects: int = DEFAULT_SUBJECTS,
    seed: int = 0,
    settings: SimulationSettings | None = None,
    overwrite: bool = False,
) -> CohortFile:
    """Write a simulated cohort and return it."""
    settings = settings or SimulationSettings()
    run = {
        "command": "simulate",
        "subjects": subjects,
        "seed": seed,
        "settings": asdict(settings),
        "versions": versions(),
    }
    with (
        CohortWriter(output, run, overwrite=overwrite) as writer,
        progress.task("simulating subjects", subjects) as task,
    ):
        for position, sample in enumerate(simulate_cohort(subjects, seed, settings)):
            writer.add(position, sample)
            task.advance(sample.sample_id)
    return CohortFile(output)
