"""The densities of a real cohort, which candidates are judged against."""

from qctkit.density import DensityReference, density_reference, measure_density
from qctkit.progress import Progress
from qctkit.store.reader import CohortFile


def cohort_reference(cohort: CohortFile, progress: Progress) -> DensityReference:
    """Return the densities of a real cohort, measured one volume at a time."""
    subjects, figures = [], []
    with progress.task("measuring densities", len(cohort)) as task:
        for sample in cohort:
            subjects.append(sample.subject)
            figures.append(measure_density(sample.volume, sample.femur, cohort.window))
            task.advance(sample.sample_id)
    return density_reference(subjects, figures)
