"""How well a predictor reads an attribute off subjects it was not trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from qctkit.cohort import Record

BOOTSTRAP_DRAWS = 2000

FEWEST_A_SLOPE = 2
JOINT_PENALTY = 1.0
"""Subjects a slope that a plane needs, and subjects' worth of belief that an attribute is not
read [A]."""


@dataclass(frozen=True)
class Response:
    """The line ``reading = intercept + slope * true`` over unseen subjects.

    Every reader regresses to the mean: its slope lies below 1. What it should read off a subject
    who changed from one value to another is therefore not the new value but its old reading plus
    ``slope`` times the change; asking for the value itself would overshoot by 1 / slope.

    Attributes:
        residual_sd: spread of the readings about the line, in the reading's unit.
    """

    slope: float
    intercept: float
    residual_sd: float

    def expected_change(self, change: float) -> float:
        """Return the change in reading that a real change of the attribute goes with."""
        return self.slope * change


@dataclass(frozen=True)
class JointResponse:
    """Readings of unseen subjects as a plane over *all* attributes together.

    A predictor of weight may read most of it off sex. Off a candidate of the other sex, or of the
    same sex and another weight, it will then read what this plane says, and not what the line over
    its own attribute alone says.

    Attributes:
        slopes: change in the reading per unit of each attribute.
        residual_sd: spread of the readings about the plane, in the reading's unit.
    """

    slopes: Mapping[str, float]
    residual_sd: float

    def expected_change(self, changes: Mapping[str, float]) -> float:
        """Return the change in reading that real changes of these attributes go with."""
        return sum(slope * changes.get(name, 0.0) for name, slope in self.slopes.items())


@dataclass(frozen=True)
class Skill:
    """Out-of-fold figures of one attribute of one predictor, over subjects.

    Attributes:
        subjects: how many had the attribute.
        figures: continuous: mae, rmse (in the attribute's unit), r2; binary: accuracy, auc, the
            confusion matrix (true_f_read_f and so on), and r2 of the probability, which is Brier's
            skill score.
        r2_low: 5th percentile of r2 over bootstrap draws of subjects.
        joint: the plane of readings on all attributes; None where they were not measured so.
        response: the line of readings on true values.
    """

    subjects: int
    figures: dict[str, float]
    response: Response
    r2_low: float | None = None
    joint: JointResponse | None = None

    def record(self) -> Record:
        """Return the figures as JSON values."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Record) -> "Skill":
        """Return the figures that ``record`` gave."""
        return cls(
            subjects=record["subjects"],
            figures=dict(record["figures"]),
            response=Response(**record["response"]),
            r2_low=record["r2_low"],
            joint=JointResponse(**record["joint"]) if record.get("joint") else None,
        )


def skill_of(
    kind: str, true: NDArray[np.floating], read: NDArray[np.floating], groups: Sequence[str]
) -> Skill:
    """Return the out-of-fold skill from true values and readings ``(N,)``; NaN means unknown.

    ``groups`` are the subject ids: two hips of one person are one subject to the bootstrap.
    """
    known = ~np.isnan(true)
    true, read = true[known].astype(float), read[known].astype(float)
    names = np.asarray(groups)[known]
    response = _response(true, read)
    count = len(set(names))
    binary = kind == "binary"
    figures = _binary_figures(true, read) if binary else _continuous_figures(true, read)
    draws = _bootstrap_r2(true, _probability(read) if binary else read, names)
    return Skill(count, figures, response, _low(draws))


def joint_response(
    read: NDArray[np.floating], values: Mapping[str, NDArray[np.floating]]
) -> JointResponse | None:
    """Return the plane of readings ``(N,)`` on those attributes ``(N,)`` that vary, NaN if unknown.

    None where too few subjects have all of them; slopes are those of a ridge regression.
    """
    varying = {name: one.astype(float) for name, one in values.items() if np.nanstd(one) > 0.0}
    if not varying:
        return None
    table = np.stack(list(varying.values()), axis=1)
    known = ~np.isnan(table).any(axis=1) & ~np.isnan(read)
    count, columns = int(known.sum()), table.shape[1]
    if count < FEWEST_A_SLOPE * (columns + 1):
        return None
    table, wanted = table[known] - table[known].mean(axis=0), read[known] - read[known].mean()
    scale = np.maximum(table.std(axis=0), 1e-9)
    design = table / scale
    gram = design.T @ design + JOINT_PENALTY * np.eye(columns)
    slopes = np.linalg.solve(gram, design.T @ wanted) / scale
    left = wanted - table @ slopes
    spread = float(np.sqrt(left @ left / max(count - columns - 1, 1)))
    return JointResponse(dict(zip(varying, map(float, slopes), strict=True)), spread)


def r2(true: NDArray[np.floating], read: NDArray[np.floating]) -> float:
    """Return 1 - mean squared error / variance: 0 for the mean predictor, below 0 for worse."""
    spread = float(np.mean((true - true.mean()) ** 2))
    return 1.0 - float(np.mean((read - true) ** 2)) / max(spread, 1e-12)


def _response(true: NDArray[np.floating], read: NDArray[np.floating]) -> Response:
    centred = true - true.mean()
    slope = float(centred @ (read - read.mean()) / max(float(centred @ centred), 1e-12))
    intercept = float(read.mean() - slope * true.mean())
    residual = read - intercept - slope * true
    return Response(slope, intercept, float(np.sqrt(residual @ residual / max(len(true) - 2, 1))))


def _continuous_figures(true: NDArray[np.floating], read: NDArray[np.floating]) -> dict[str, float]:
    error = read - true
    return {
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "mae_of_mean": float(np.abs(true - true.mean()).mean()),
        "r2": r2(true, read),
    }


def _binary_figures(true: NDArray[np.floating], read: NDArray[np.floating]) -> dict[str, float]:
    from sklearn.metrics import roc_auc_score  # a second to load, and not needed to read

    male, read_male = true > 0.5, read > 0.0
    return {
        "accuracy": float((male == read_male).mean()),
        "auc": float(roc_auc_score(male, read)),
        "r2": r2(true, _probability(read)),
        "true_f_read_f": float((~male & ~read_male).sum()),
        "true_f_read_m": float((~male & read_male).sum()),
        "true_m_read_f": float((male & ~read_male).sum()),
        "true_m_read_m": float((male & read_male).sum()),
    }


def _probability(logit: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(expit(logit), dtype=np.float64)


def _low(draws: NDArray[np.float64]) -> float | None:
    known = draws[~np.isnan(draws)]
    return float(np.quantile(known, 0.05)) if len(known) else None


def _bootstrap_r2(
    true: NDArray[np.floating], read: NDArray[np.floating], groups: NDArray[np.str_]
) -> NDArray[np.float64]:
    generator = np.random.default_rng(0)
    rows_of = [np.flatnonzero(groups == name) for name in np.unique(groups)]
    draws = np.empty(BOOTSTRAP_DRAWS)
    for draw in range(BOOTSTRAP_DRAWS):
        picked = generator.integers(len(rows_of), size=len(rows_of))
        rows = np.concatenate([rows_of[one] for one in picked])
        # Of few subjects a draw may hold one sex alone, which no predictor can be better than.
        draws[draw] = r2(true[rows], read[rows]) if np.ptp(true[rows]) > 0.0 else np.nan
    return draws
