"""A cohort: subjects with their volumes and femur masks, in order.

A *sample* is one entry: a real or simulated scan, or one that qctkit made. What a made sample
knows beyond a real one (its source, recipe, targets, labels, readings and verdicts) is its
``Synthesis``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qctkit.errors import InputError
from qctkit.subject import SUBJECT_ID_PATTERN, Subject
from qctkit.volume import Mask, Volume

Record: TypeAlias = Mapping[str, Any]
"""Values that JSON can hold, by name: how figures and provenance are stored."""

REPLAYED = "replayed"
"""Name in a made sample's record under which stands that it was replayed on another grid than its
source's."""


class MaskOrigin(StrEnum):
    """Where a femur mask came from, which says how far to trust it."""

    GIVEN = "given"
    SEGMENTED = "segmented (approximate)"
    SIMULATED = "simulated truth"


class Side(StrEnum):
    """Side of the body on which a femur lies."""

    LEFT = "left"
    RIGHT = "right"


@dataclass(frozen=True, eq=False)
class FemurMask:
    """A boolean mask ``(D, H, W)`` of one proximal femur, its side and where it came from."""

    voxels: Mask
    side: Side
    origin: MaskOrigin

    def __post_init__(self) -> None:
        if not self.voxels.any():
            raise InputError("the femur mask is empty")


@dataclass(frozen=True, eq=False)
class Sample:
    """One entry of a cohort.

    Attributes:
        sample_id: unique in its file; for a real scan the subject's id, or with both hips the
            subject's id and the side.
        subject: whom the labels describe. For a made sample these are its true labels: targets
            for carried attributes, the source's own values for the others.
        volume: voxels, geometry, unit.
        femur: the mask, same shape as the volume.
        provenance: how the sample came to be, for the record (never a header's free text).
        truth: what a simulator knows and a scanner does not (true densities, thickness).
        synthesis: set only for samples that a recipe made.
    """

    sample_id: str
    subject: Subject
    volume: Volume
    femur: FemurMask
    provenance: Record = field(default_factory=dict)
    truth: Record = field(default_factory=dict)
    synthesis: "Synthesis | None" = None

    def __post_init__(self) -> None:
        if not SUBJECT_ID_PATTERN.fullmatch(self.sample_id):
            raise InputError(f"sample_id {self.sample_id!r} is not a plain identifier")
        if self.femur.voxels.shape != self.volume.voxels.shape:
            raise InputError(
                f"the mask of {self.sample_id} has shape {self.femur.voxels.shape}, its volume "
                f"{self.volume.voxels.shape}"
            )


@dataclass(frozen=True, eq=False)
class Synthesis:
    """What is recorded of a made sample beyond its voxels.

    Attributes:
        source_sample_id, source_subject_id: the real scan it was made from; a sample stays in
            the data split of its source subject for ever.
        region: voxels ``(D, H, W)`` that the recipe was allowed to change.
        record: recipe, targets, labels, readings before and after, verdicts, reason for the
            stop, seed and versions.
        parameters: the edit's parameters by name, in its own physical units.
    """

    source_sample_id: str
    source_subject_id: str
    region: Mask
    record: Record
    parameters: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


class Cohort(Protocol):
    """Samples in order, loaded one at a time.

    Contract:
        - ``sample_ids`` and ``subject`` touch no voxels;
        - ``load`` gives equal samples each time, and holds none of them in memory.
    """

    @property
    def sample_ids(self) -> tuple[str, ...]:
        """Ids in order."""
        ...

    def subject(self, sample_id: str) -> Subject:
        """Return the subject of a sample."""
        ...

    def load(self, sample_id: str) -> Sample:
        """Return one sample with its voxels."""
        ...

    def __iter__(self) -> Iterator[Sample]:
        """Iterate over the samples, one in memory at a time."""
        ...

    def __len__(self) -> int:
        """Return the number of samples."""
        ...


@dataclass(frozen=True)
class MemoryCohort:
    """A cohort held in memory, for small ones made on the spot."""

    samples: tuple[Sample, ...]

    def __post_init__(self) -> None:
        ids = [sample.sample_id for sample in self.samples]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            raise InputError(f"sample ids must be unique in a cohort; given twice: {twice}")

    @property
    def sample_ids(self) -> tuple[str, ...]:
        """Ids in order."""
        return tuple(sample.sample_id for sample in self.samples)

    def subject(self, sample_id: str) -> Subject:
        """Return the subject of a sample."""
        return self.load(sample_id).subject

    def load(self, sample_id: str) -> Sample:
        """Return one sample.

        Raises:
            InputError: there is no such sample.
        """
        for sample in self.samples:
            if sample.sample_id == sample_id:
                return sample
        raise InputError(f"no sample {sample_id!r} in this cohort")

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    def __len__(self) -> int:
        return len(self.samples)
