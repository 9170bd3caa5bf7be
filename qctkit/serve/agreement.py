"""What readers found: how often they were right, and how far they agree, with intervals."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from qctkit.cohort import Record
from qctkit.serve.answers import Answer
from qctkit.serve.trials import Trial

Array = NDArray[np.float64]
Scores = Array
"""``(R, N)`` from -3, surely real, to 3, surely made; NaN where a reader has not answered."""

Measure = Callable[[Scores, NDArray[np.bool_]], float]

DRAWS = 1000
INTERVAL = (0.025, 0.975)


def reading_result(trials: Sequence[Trial], answers: Sequence[Answer], seed: int = 0) -> Record:
    """Return accuracy, AUC and agreement as JSON values, each with a bootstrap interval over scans.

    Scans are drawn anew within real and within made ones, with all that readers said of them; no
    interval holds the luck of which readers took part. Figures over readers are means of each
    reader's own. Kappa (Cohen's of two readers, else Fleiss') is of scans that all have read.
    """
    readers = sorted({one.reader for one in answers})
    made = np.array([one.is_made for one in trials])
    scores = np.full((len(readers), len(trials)), np.nan)
    for one in answers:
        scores[readers.index(one.reader), one.trial] = one.score
    draws = _draws(made, seed)
    figures = {"accuracy": accuracy, "auc": auc, "made_found": made_found, "real_found": real_found}
    each = [
        {
            "reader": reader,
            "answered": int(np.isfinite(scores[row]).sum()),
            **{name: _estimate(of, scores[[row]], made, draws) for name, of in figures.items()},
        }
        for row, reader in enumerate(readers)
    ]
    shared = np.isfinite(scores).all(axis=0)
    return {
        "scans": len(trials),
        "made": int(made.sum()),
        "readers": each,
        **{name: _estimate(of, scores, made, draws) for name, of in figures.items()},
        "kappa": _estimate(kappa, scores, made, draws) if len(readers) > 1 else None,
        "kappa_name": "Cohen" if len(readers) == 2 else "Fleiss",
        "kappa_scans": int(shared.sum()) if readers else 0,
    }


def accuracy(scores: Scores, made: NDArray[np.bool_]) -> float:
    """Return the share of answers that are right, mean over readers."""
    return _mean((scores > 0) == made, scores)


def made_found(scores: Scores, made: NDArray[np.bool_]) -> float:
    """Return the share of made scans that are called so, mean over readers."""
    return _mean(scores[:, made] > 0, scores[:, made])


def real_found(scores: Scores, made: NDArray[np.bool_]) -> float:
    """Return the share of real scans that are called so, mean over readers."""
    return _mean(scores[:, ~made] < 0, scores[:, ~made])


def auc(scores: Scores, made: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve of scores, mean over readers.

    It is the share of pairs of a made and a real scan in which the made one has the higher score,
    ties counting half (Hanley and McNeil 1982).
    """
    areas = []
    for row in scores:
        higher = row[made][:, None] - row[~made][None, :]
        known = np.isfinite(higher)
        if known.any():
            areas.append(float(((higher > 0) + 0.5 * (higher == 0))[known].mean()))
    return float(np.mean(areas)) if areas else float("nan")


def kappa(scores: Scores, made: NDArray[np.bool_]) -> float:  # noqa: ARG001
    """Return agreement beyond chance on scans that all readers have read; NaN where undefined.

    Cohen's kappa (1960) for two readers, whose own shares say what chance gives; Fleiss' (1971)
    for more, with the shares of all together.
    """
    shared = scores[:, np.isfinite(scores).all(axis=0)] > 0
    readers, scans = shared.shape
    if readers < 2 or not scans:
        return float("nan")
    called = shared.mean(axis=1)
    if readers == 2:
        agreed = float((shared[0] == shared[1]).mean())
        chance = float(called.prod() + (1 - called).prod())
    else:
        votes = shared.sum(axis=0)
        pairs = votes * (votes - 1) + (readers - votes) * (readers - votes - 1)
        agreed = float((pairs / (readers * (readers - 1))).mean())
        chance = float(called.mean() ** 2 + (1 - called.mean()) ** 2)
    return (agreed - chance) / (1 - chance) if chance < 1 else float("nan")


def _mean(right: NDArray[np.bool_], scores: Scores) -> float:
    known = np.isfinite(scores)
    shares = [float(row[here].mean()) for row, here in zip(right, known, strict=True) if here.any()]
    return float(np.mean(shares)) if shares else float("nan")


def _draws(made: NDArray[np.bool_], seed: int) -> list[NDArray[np.intp]]:
    """Return scans drawn anew, within real and within made ones."""
    generator = np.random.default_rng(seed)
    kinds = [np.flatnonzero(made), np.flatnonzero(~made)]
    return [
        np.concatenate([generator.choice(kind, len(kind)) for kind in kinds]) for _ in range(DRAWS)
    ]


def _estimate(
    measure: Measure, scores: Scores, made: NDArray[np.bool_], draws: Sequence[NDArray[np.intp]]
) -> Record:
    values = np.array([measure(scores[:, drawn], made[drawn]) for drawn in draws])
    values = values[np.isfinite(values)]
    low, high = np.quantile(values, INTERVAL) if len(values) else (np.nan, np.nan)
    found = (measure(scores, made), float(low), float(high))
    return dict(
        zip(
            ("value", "low", "high"),
            (one if np.isfinite(one) else None for one in found),
            strict=True,
        )
    )
