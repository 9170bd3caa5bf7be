"""Cohorts to downstream training: PyTorch datasets, split so that nothing leaks."""

from qctkit.training.dataset import CohortDataset, TrainingItem
from qctkit.training.grid import Centre, TrainingGrid
from qctkit.training.source import source_subject_id
from qctkit.training.split import DEFAULT_FRACTIONS, SubjectSplit, split_by_subject

__all__ = [
    "DEFAULT_FRACTIONS",
    "Centre",
    "CohortDataset",
    "SubjectSplit",
    "TrainingGrid",
    "TrainingItem",
    "source_subject_id",
    "split_by_subject",
]
