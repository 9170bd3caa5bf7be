"""The attributes that a real cohort covers, each by itself and all together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qctkit.cohort import Record
from qctkit.geometry import FloatArray
from qctkit.subject import Subject, attributes_of, common_attributes

MORE_THAN_ATTRIBUTES = 2
"""Subjects needed beyond the number of attributes before their covariance says anything."""

ROUNDING = 1e-9
"""Share by which a real subject's own distance may be met again and still not be beyond it."""


@dataclass(frozen=True)
class Extrapolation:
    """How a person lies beyond a cohort.

    Attributes:
        attributes: those with a value that no real subject reaches.
        distance: Mahalanobis distance of all attributes together from the cohort's middle, None
            where it is not known.
        largest: the largest such distance of a real subject.
    """

    attributes: tuple[str, ...]
    distance: float | None
    largest: float | None

    @property
    def is_jointly(self) -> bool:
        """Whether no real subject lies as far out, with all attributes taken together."""
        return (
            self.distance is not None
            and self.largest is not None
            and self.distance > self.largest * (1.0 + ROUNDING)
        )

    def __bool__(self) -> bool:
        return bool(self.attributes) or self.is_jointly

    def record(self) -> Record:
        """Return it as JSON values."""
        return {
            "attributes": list(self.attributes),
            "jointly": self.is_jointly,
            "distance": self.distance,
            "largest_real_distance": self.largest,
        }


@dataclass(frozen=True, eq=False)
class CohortRange:
    """The range of each attribute, and how all of them vary together.

    Attributes:
        limits: least and greatest value by attribute, of those that anyone has.
        together: attributes that vary and that the distance takes together; empty where too few
            subjects have all of them.
        centre, precision: of those attributes, ``(A)`` and ``(A, A)``.
        largest: distance of the outermost real subject.
    """

    limits: Mapping[str, tuple[float, float]]
    together: tuple[str, ...]
    centre: FloatArray
    precision: FloatArray
    largest: float | None

    def extrapolation(self, person: Mapping[str, float | None]) -> Extrapolation:
        """Return how a person with these attributes lies beyond the cohort; None is not known."""
        beyond = tuple(
            name
            for name, value in person.items()
            if value is not None and not self._covers(name, value)
        )
        return Extrapolation(beyond, self._distance(person), self.largest)

    def record(self) -> Record:
        """Return it as JSON values."""
        return {
            "limits": {name: list(ends) for name, ends in self.limits.items()},
            "together": list(self.together),
            "largest_real_distance": self.largest,
        }

    def _covers(self, name: str, value: float) -> bool:
        if name not in self.limits:
            return False
        low, high = self.limits[name]
        return low <= value <= high

    def _distance(self, person: Mapping[str, float | None]) -> float | None:
        values = [person.get(name) for name in self.together]
        known = [value for value in values if value is not None]
        if not values or len(known) != len(values):
            return None
        offset = np.array(known) - self.centre
        return float(np.sqrt(offset @ self.precision @ offset))


def cohort_range(subjects: Sequence[Subject]) -> CohortRange:
    """Return the range of a real cohort; someone scanned twice counts once.

    The distance is Mahalanobis', sqrt((x - m)' C^-1 (x - m)), with the mean m and the sample
    covariance C of the subjects whose attributes are all known, sex coded 0 and 1.
    """
    people = list({one.subject_id: one for one in subjects}.values())
    limits = {}
    for name in attributes_of(people):
        known = [value for one in people if (value := one.value(name)) is not None]
        if known:
            limits[name] = (min(known), max(known))
    common = common_attributes(people)
    varying = [name for name, (low, high) in limits.items() if high > low and name in common]
    rows = [[one.value(name) for name in varying] for one in people]
    table = np.array([row for row in rows if None not in row], dtype=np.float64)
    nothing = np.empty(0)
    if not varying or len(table) < len(varying) + MORE_THAN_ATTRIBUTES:
        return CohortRange(limits, (), nothing, nothing, None)
    covariance: FloatArray = np.cov(table, rowvar=False, dtype=np.float64).reshape(
        len(varying), len(varying)
    )
    if np.linalg.matrix_rank(covariance) < len(varying):
        return CohortRange(limits, (), nothing, nothing, None)
    centre = table.mean(axis=0)
    precision: FloatArray = np.linalg.inv(covariance).astype(np.float64)
    offsets = table - centre
    squared = np.einsum("na,ab,nb->n", offsets, precision, offsets)
    return CohortRange(limits, tuple(varying), centre, precision, float(np.sqrt(squared.max())))
