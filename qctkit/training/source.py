"""Whose scan a sample was made from, which decides its split."""

from dataclasses import dataclass

import h5py

from qctkit import schema
from qctkit.cohort import Sample
from qctkit.store.group import read_json, sample_group
from qctkit.store.reader import CohortFile


@dataclass(frozen=True)
class Lineage:
    """Where one sample of a cohort file comes from.

    Attributes:
        sample_id: the sample.
        subject_id: whom its labels describe.
        source_subject_id: the subject whose scan it was made from; of a real scan, its own.
    """

    sample_id: str
    subject_id: str
    source_subject_id: str


def source_subject_id(sample: Sample) -> str:
    """Return the subject whose scan a sample was made from; of a real scan, its own."""
    if sample.synthesis is None:
        return sample.subject.subject_id
    return sample.synthesis.source_subject_id


def lineages(cohort: CohortFile) -> tuple[Lineage, ...]:
    """Return the lineage of every sample, in order; touches no voxels.

    It is read from the samples' own records, which their checksums cover, not from the table.

    Raises:
        CohortFileError: a sample's record cannot be read.
    """
    with cohort.open() as file:
        return tuple(
            Lineage(
                sample_id,
                cohort.subject(sample_id).subject_id,
                _source(
                    sample_group(file, sample_id, cohort.path), cohort.subject(sample_id).subject_id
                ),
            )
            for sample_id in cohort.sample_ids
        )


def _source(group: h5py.Group, subject_id: str) -> str:
    if schema.SYNTHESIS not in group:
        return subject_id
    return str(read_json(group, schema.SYNTHESIS)["source_subject_id"])
