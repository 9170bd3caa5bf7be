"""How a density figure goes with age, weight and sex, in real and in made samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from qctkit.analysis.estimate import Estimate, jackknife, p_of_zero, recorded
from qctkit.cohort import Record
from qctkit.geometry import FloatArray

SUBJECTS_A_COEFFICIENT = 2
"""Fewer subjects than this for each coefficient, and no relation is stated [A]."""

LARGE_CORRELATION = 0.5
"""A large rank correlation (Cohen 1988); below it a relation is called weak."""


@dataclass(frozen=True, eq=False)
class Rows:
    """One figure of each sample, with the labels and the subject of each.

    Attributes:
        values: ``(N,)``, NaN where the figure is not known.
        attributes: ``(N,)`` by name, NaN where not known; sex is 0 for women, 1 for men.
        groups: ``(N,)`` who was scanned; for a made sample, its source's subject.
    """

    values: FloatArray
    attributes: Mapping[str, FloatArray]
    groups: NDArray[np.str_]

    def known(self, names: Sequence[str]) -> "Rows":
        """Return the rows whose figure and attributes are all known."""
        rows = np.isfinite(self.values)
        for name in names:
            rows = rows & np.isfinite(self.attributes[name])
        chosen = {name: self.attributes[name][rows] for name in names}
        return Rows(self.values[rows], chosen, self.groups[rows])


@dataclass(frozen=True)
class Relation:
    """A figure against one attribute.

    Attributes:
        slope: change of the figure with one unit of the attribute, the others held.
        rank: partial rank correlation (Spearman), the others held.
        p: of a slope of 0.
        adjusted_for: the others.
    """

    slope: Estimate
    rank: Estimate
    p: float | None
    adjusted_for: tuple[str, ...]

    def record(self) -> Record:
        """Return it as JSON values."""
        return {
            "slope": self.slope.record(),
            "rank_correlation": self.rank.record(),
            "p_zero_slope": self.p,
            "adjusted_for": list(self.adjusted_for),
        }


@dataclass(frozen=True)
class Comparison:
    """One figure against one attribute, real and made side by side.

    Attributes:
        difference: slope in made samples less that in real ones; None unless both are known.
        p_equal: of equal slopes. Made samples of one source are one cluster, and a source's own
            scan is resampled with them. What a recipe learned of the whole cohort ties the two
            slopes further together than resampling can see, so the test errs towards equality.
    """

    measure: str
    attribute: str
    real: Relation | None
    made: Relation | None
    difference: Estimate | None
    p_equal: float | None

    def record(self) -> Record:
        """Return it as JSON values."""
        return {
            "measure": self.measure,
            "attribute": self.attribute,
            "real": None if self.real is None else self.real.record(),
            "made": None if self.made is None else self.made.record(),
            "slope_difference": recorded(self.difference),
            "p_equal_slopes": self.p_equal,
        }


def relation(rows: Rows, attribute: str) -> Relation | None:
    """Return how the figure goes with an attribute; None where too few subjects vary in it.

    The slope is that of least squares on all attributes that vary; its interval is the
    jackknife's over subjects, which is HC3 where every subject has one scan. The rank correlation
    is Pearson's of the residuals of ranks on the ranks of the others, its interval the jackknife's
    on Fisher's z.
    """
    rows, names = _usable(rows, attribute)
    if not names:
        return None
    slope = jackknife(lambda kept: _slope(rows, names, kept), rows.groups)
    ranked = jackknife(lambda kept: _fisher(_partial_rank(rows, names, kept)), rows.groups)
    rank = Estimate(
        float(np.tanh(ranked.value)),
        None if ranked.low is None else float(np.tanh(ranked.low)),
        None if ranked.high is None else float(np.tanh(ranked.high)),
        ranked.subjects,
    )
    return Relation(slope, rank, p_of_zero(slope), names[1:])


def compare(measure: str, attribute: str, real: Rows, made: Rows) -> Comparison:
    """Return the relation in real and made samples, and whether their slopes are equal."""
    one, other = relation(real, attribute), relation(made, attribute)
    if one is None or other is None:
        return Comparison(measure, attribute, one, other, None, None)
    real, real_names = _usable(real, attribute)
    made, made_names = _usable(made, attribute)
    split = len(real.values)

    def difference(kept: NDArray[np.bool_]) -> float:
        return _slope(made, made_names, kept[split:]) - _slope(real, real_names, kept[:split])

    found = jackknife(difference, np.concatenate([real.groups, made.groups]))
    return Comparison(measure, attribute, one, other, found, p_of_zero(found))


def _usable(rows: Rows, attribute: str) -> tuple[Rows, tuple[str, ...]]:
    """Return the known rows, and the attributes that vary in them, the asked one first."""
    some = [name for name, column in rows.attributes.items() if np.isfinite(column).any()]
    if attribute not in some:
        return rows, ()
    known = rows.known(some)
    names = [name for name in some if len(np.unique(known.attributes[name])) > 1]
    enough = SUBJECTS_A_COEFFICIENT * (len(names) + 1)
    if attribute not in names or len(np.unique(known.groups)) < enough:
        return known, ()
    return known, (attribute, *(name for name in names if name != attribute))


def _slope(rows: Rows, names: Sequence[str], kept: NDArray[np.bool_]) -> float:
    columns = [rows.attributes[name][kept] for name in names]
    design = np.stack([*columns, np.ones(int(kept.sum()))], axis=1)
    # Centred columns of one size keep the solve well-posed in years, kg and 0 or 1 alike.
    scale = np.maximum(np.ptp(design[:, :-1], axis=0), 1e-12)
    design[:, :-1] = (design[:, :-1] - design[:, :-1].mean(axis=0)) / scale
    solved, *_ = np.linalg.lstsq(design, rows.values[kept], rcond=None)
    return float(solved[0] / scale[0])


def _partial_rank(rows: Rows, names: Sequence[str], kept: NDArray[np.bool_]) -> float:
    ranks = [stats.rankdata(rows.attributes[name][kept]) for name in names]
    others = np.stack([*ranks[1:], np.ones(int(kept.sum()))], axis=1)
    one = _left_over(stats.rankdata(rows.values[kept]), others)
    other = _left_over(ranks[0], others)
    size = np.sqrt((one @ one) * (other @ other))
    return float(one @ other / size) if size > 1e-9 else 0.0


def _left_over(values: FloatArray, others: FloatArray) -> FloatArray:
    solved, *_ = np.linalg.lstsq(others, values, rcond=None)
    return np.asarray(values - others @ solved)


def _fisher(correlation: float) -> float:
    return float(np.arctanh(np.clip(correlation, -0.9999, 0.9999)))
