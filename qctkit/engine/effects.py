"""What a change of attributes does to each quantity measured on a cohort: shrunken regressions.

A regression over people is not yet the effect of changing one of them. Two assumptions are made,
and stated wherever samples are: the outer shape of an adult's bone follows sex and age but not
weight, and of two people of one sex and age the larger skeleton also explains part of the weight.
So bone shape is regressed on the attributes without weight, and everything else on all attributes
with the size of the skeleton beside them; a change of sex reaches it both directly and by size.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qctkit.subject import ATTRIBUTES, WEIGHT

Array = NDArray[np.float64]

PENALTY = 0.5
"""Subjects' worth of belief that an attribute does nothing."""

DOUBT = 0.25
"""Slopes are multiplied by 1 - DOUBT / t^2 (not below 0), t the slope over its standard error:
with 29 subjects many slopes are chance, and a positive-part shrinkage after James and Stein (1961)
keeps those that stand out. Found on simulated cohorts, docs/evidence.md."""

FEWEST = 8
"""Subjects with all attributes known, below which no effect is estimated."""


@dataclass(frozen=True, eq=False)
class Design:
    """The attributes and skeletal sizes of a cohort's subjects, for regressions.

    Attributes:
        names: attributes that vary in the cohort, ``(A,)`` columns of ``values``.
        values: ``(N, A)`` on the scale on which bodies follow them: weight as its logarithm.
        size: ``(N,)``, the size of the skeleton in standard deviations.
        rows: which samples of the cohort these are: those with all of the attributes known.
    """

    names: tuple[str, ...]
    values: Array
    size: Array
    rows: tuple[int, ...]

    @classmethod
    def of(cls, attributes: Mapping[str, Array], size: Array) -> "Design":
        """Return the design of attributes and sizes ``(N,)``, NaN where one is not known.

        Attributes that all share, or that fewer than ``FEWEST`` know, have no effect.
        """
        names = tuple(
            name for name in ATTRIBUTES if name in attributes and _varies(attributes[name])
        )
        table = np.stack([_on_scale(name, attributes[name]) for name in names], axis=1)
        known = ~np.isnan(table).any(axis=1)
        standard = (size - size[known].mean()) / max(float(size[known].std()), 1e-9)
        return cls(names, table[known], standard[known], tuple(np.flatnonzero(known).tolist()))

    def change(self, before: Mapping[str, float | None], asked: Mapping[str, float]) -> Array:
        """Return the change ``(A,)`` of attributes from what they are to what is asked."""
        steps = []
        for name in self.names:
            now, wanted = before.get(name), asked.get(name)
            steps.append(
                0.0
                if now is None or wanted is None
                else float(_on_scale(name, np.array(wanted)) - _on_scale(name, np.array(now)))
            )
        return np.array(steps)

    def without(self, left_out: Collection[int]) -> "Design":
        """Return the design without some of the cohort's samples: those of one subject."""
        kept = [place for place, own in enumerate(self.rows) if own not in left_out]
        return Design(
            self.names, self.values[kept], self.size[kept], tuple(self.rows[one] for one in kept)
        )

    def effects(self, measured: Array) -> Array:
        """Return the change ``(A, P)`` of quantities ``(N, P)`` per unit of each attribute."""
        quantities = measured[list(self.rows)]
        # Beside what sex and age say of it, so that their slopes are totals and shrunken as such.
        explained = self._lasting - self._lasting.mean(axis=0)
        own_size = (
            self.size - explained @ _slopes(self._lasting, self.size[:, None], doubt=0.0)[:, 0]
        )
        return _slopes(np.column_stack([self.values, own_size]), quantities)[:-1]

    def residual_sd(self, measured: Array) -> Array:
        """Return the spread ``(P,)`` of quantities ``(N, P)`` among people of equal attributes."""
        quantities = measured[list(self.rows)]
        left = quantities - quantities.mean(axis=0)
        left = left - (self.values - self.values.mean(axis=0)) @ _slopes(
            self.values, quantities, doubt=0.0
        )
        return np.asarray(np.maximum(left.std(axis=0), 1e-6))

    def bone_shape_effects(self, measured: Array) -> Array:
        """Return the change ``(A, P)`` of quantities of bone shape, which do not follow weight."""
        found = np.zeros((len(self.names), measured.shape[1]))
        found[self._kept] = _slopes(self._lasting, measured[list(self.rows)])
        return found

    @property
    def _kept(self) -> list[int]:
        return [column for column, name in enumerate(self.names) if name != WEIGHT.name]

    @property
    def _lasting(self) -> Array:
        return self.values[:, self._kept]


def _slopes(values: Array, quantities: Array, doubt: float = DOUBT) -> Array:
    """Return ridge slopes ``(A, P)`` of quantities ``(N, P)``, shrunken by their doubt."""
    subjects, columns = values.shape
    if not columns:
        return np.zeros((0, quantities.shape[1]))
    scale = np.maximum(values.std(axis=0), 1e-9)
    design = (values - values.mean(axis=0)) / scale
    gram = design.T @ design
    centred = quantities - quantities.mean(axis=0)
    slopes = np.linalg.solve(gram + PENALTY * np.eye(columns), design.T @ centred)
    left = centred - design @ slopes
    variance = np.square(left).sum(axis=0) / max(subjects - columns - 1, 1)
    error = np.diag(np.linalg.pinv(gram))[:, None] * variance
    trust = np.clip(1.0 - doubt * error / np.maximum(np.square(slopes), 1e-12), 0.0, 1.0)
    shrunken: Array = slopes * trust / scale[:, None]
    return shrunken


def _on_scale(name: str, values: Array) -> Array:
    return np.log(values) if name == WEIGHT.name else np.asarray(values, dtype=np.float64)


def _varies(values: Array) -> bool:
    known = values[~np.isnan(values)]
    return len(known) >= FEWEST and float(known.std()) > 0.0
