"""Splits by subject, in which a made sample stays with the subject it was made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from qctkit.errors import InputError
from qctkit.store.reader import CohortFile
from qctkit.training.source import Lineage, lineages

DEFAULT_FRACTIONS: Mapping[str, float] = MappingProxyType(
    {"train": 0.6, "validation": 0.2, "unseen": 0.2}
)


@dataclass(frozen=True)
class SubjectSplit:
    """Which subjects belong to which part.

    It is a decision about subjects, not samples: ask it for the samples of any file made from
    them, now or later, and each goes where its source subject is.

    Attributes:
        parts: for each part the ids of its subjects, sorted.

    Raises:
        InputError: a subject is in two parts.
    """

    parts: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        placed = [subject for subjects in self.parts.values() for subject in subjects]
        twice = sorted({subject for subject in placed if placed.count(subject) > 1})
        if twice:
            raise InputError(f"subjects must be in one part of a split only; in two: {twice}")

    def sample_ids(self, cohort: CohortFile, part: str) -> tuple[str, ...]:
        """Return the samples of a file that belong to a part, in the file's order.

        Raises:
            InputError: there is no such part, or a sample's subject or its source is in no part
                or in another one.
        """
        if part not in self.parts:
            raise InputError(f"the split has no part {part!r}; it has {', '.join(self.parts)}")
        part_of = {subject: name for name, ids in self.parts.items() for subject in ids}
        return tuple(
            one.sample_id for one in lineages(cohort) if _part(one, part_of, cohort) == part
        )


def split_by_subject(
    cohorts: Sequence[CohortFile],
    fractions: Mapping[str, float] = DEFAULT_FRACTIONS,
    seed: int = 0,
) -> SubjectSplit:
    """Return a random split of all subjects of real and made cohorts together.

    Subjects that any sample ties together (as its subject and its source) are one family and
    move as one, so also samples made from made samples stay with the first source. Two files that
    use the same id are taken to mean the same subject.

    Args:
        cohorts: give all files that will be used together in one call.
        fractions: share of the families in each part; they sum to 1, and each part gets at least
            one.
        seed: of the random order.

    Raises:
        InputError: the fractions are not positive or do not sum to 1, or there are fewer families
            than parts.
    """
    shares = np.array(list(fractions.values()), dtype=np.float64)
    if len(shares) == 0 or not (shares > 0).all() or abs(shares.sum() - 1) > 1e-6:
        raise InputError(f"fractions must be positive and sum to 1, got {dict(fractions)}")
    families = _families([one for cohort in cohorts for one in lineages(cohort)])
    if len(families) < len(shares):
        raise InputError(
            f"{len(families)} subjects cannot fill {len(shares)} parts ({', '.join(fractions)})"
        )
    order = np.random.default_rng(seed).permutation(len(families))
    stops = np.cumsum(_counts(shares, len(families)))
    return SubjectSplit(
        {
            name: tuple(sorted(i for place in places for i in families[place]))
            for name, places in zip(fractions, np.split(order, stops[:-1]), strict=True)
        }
    )


def _part(one: Lineage, part_of: Mapping[str, str], cohort: CohortFile) -> str:
    found = {part_of.get(one.subject_id), part_of.get(one.source_subject_id)}
    part = found.pop()
    if found or part is None:
        raise InputError(
            f"{cohort.path}: sample {one.sample_id} of subject {one.subject_id}, made from "
            f"{one.source_subject_id}, has no one place in the split; give this file to "
            "split_by_subject together with the others"
        )
    return part


def _families(samples: Sequence[Lineage]) -> list[tuple[str, ...]]:
    """Return the sets of subjects that samples tie together, sorted."""
    family: dict[str, set[str]] = {}
    for one in samples:
        joined = {one.subject_id, one.source_subject_id}
        joined |= family.get(one.subject_id, set()) | family.get(one.source_subject_id, set())
        for subject in joined:
            family[subject] = joined
    return sorted({tuple(sorted(members)) for members in family.values()})


def _counts(shares: NDArray[np.float64], total: int) -> NDArray[np.int64]:
    """Return how many of ``total`` each share gets: at least one, all of them used."""
    wanted = shares * total
    counts = np.maximum(np.floor(wanted).astype(np.int64), 1)
    while counts.sum() < total:
        counts[np.argmax(wanted - counts)] += 1
    while counts.sum() > total:
        spare = np.where(counts > 1, counts - wanted, -np.inf)
        counts[np.argmax(spare)] -= 1
    return np.asarray(counts)
