"""``qctkit simulate``: a cohort with known truth."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from qctkit.pipeline.versions import versions
from qctkit.progress import Progress
from qctkit.simulate import SimulationSettings, simulate_cohort
from qctkit.simulate.person import figures_of, person_of
from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter
from qctkit.subject import Origin

DEFAULT_SUBJECTS = 29


def simulate(
    output: Path,
    progress: Progress,
    *,
    subjects: int = DEFAULT_SUBJECTS,
    seed: int = 0,
    settings: SimulationSettings | None = None,
    attributes: Sequence[str] = (),
    overwrite: bool = False,
) -> CohortFile:
    """Write a simulated cohort and return it.

    ``attributes`` are further ones that subjects shall state, of those in ``FIGURES``.

    Raises:
        InputError: one is not known, or the simulator cannot tell it.
    """
    settings = settings or SimulationSettings()
    run: dict[str, Any] = {
        "command": "simulate",
        "subjects": subjects,
        "seed": seed,
        "settings": asdict(settings),
        "versions": versions(),
    }
    if attributes:
        run["attributes"] = list(attributes)
    with (
        CohortWriter(output, run, overwrite=overwrite) as writer,
        progress.task("simulating subjects", subjects) as task,
    ):
        for position, sample in enumerate(simulate_cohort(subjects, seed, settings)):
            told = figures_of(person_of(sample), attributes)
            subject = sample.subject.with_values(told, Origin.SIMULATED)
            writer.add(position, replace(sample, subject=subject))
            task.advance(sample.sample_id)
    return CohortFile(output)
