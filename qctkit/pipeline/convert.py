"""``qctkit convert``: a cohort file or an exported folder to another format."""

from pathlib import Path
from typing import TypeAlias

from qctkit.progress import Progress
from qctkit.readers.exported import ExportedCohort, ExportReader
from qctkit.store.reader import CohortFile
from qctkit.store.sidecar import EDITED
from qctkit.store.writer import CohortWriter

WholeCohort: TypeAlias = CohortFile | ExportedCohort


def open_cohort(path: Path) -> WholeCohort:
    """Return the cohort at a path: a file, or a folder that `qctkit convert` wrote.

    Raises:
        InputError: it is neither, or damaged.
    """
    return ExportedCohort(path) if ExportReader().claims(path) else CohortFile(path)


def write_cohort(
    cohort: WholeCohort, output: Path, progress: Progress, *, overwrite: bool
) -> CohortFile:
    """Write a cohort file, with what made it and its refusals, and return it.

    Raises:
        OutputExistsError: the output is there and ``overwrite`` is not set.
        InputError: a sample cannot be read.
    """
    with (
        CohortWriter(output, cohort.run, window=cohort.window, overwrite=overwrite) as writer,
        progress.task("writing samples", len(cohort)) as task,
    ):
        for position, sample in enumerate(cohort):
            if isinstance(cohort, ExportedCohort) and sample.provenance.get(EDITED):
                edited = ", ".join(sample.provenance[EDITED])
                progress.say(f"{sample.sample_id}: edited after the export: {edited}; taken")
            writer.add(position, sample)
            task.advance(sample.sample_id)
        for position, record in enumerate(cohort.refused, start=len(cohort)):
            writer.refuse(position, record)
    return CohortFile(output)
