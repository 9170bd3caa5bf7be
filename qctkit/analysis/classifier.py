"""Two-sample classifiers: can made samples be told from real ones, on subjects never met?

A classifier that does no better than chance on held-out subjects, though it can see a planted
difference, finds none (Lopez-Paz and Oquab 2017, arXiv 1610.06545).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from qctkit.analysis.distances import Standard
from qctkit.analysis.estimate import Estimate, percentiles, subject_draws
from qctkit.geometry import FloatArray
from qctkit.networks import Schedule, SpreadEncoder, one_thread, train

FOLDS, NETWORK_FOLDS = 5, 3
INNER_FOLDS = 4
PENALTIES = (0.001, 0.01, 0.1, 1.0)
"""Inverse ridge penalties of the linear model; inner folds choose."""

FEWEST_SUBJECTS = 8
"""With fewer subjects a classifier has nothing to learn from [A]."""

WIDTHS = (8, 16, 32)
PASSES = 2000
EPOCHS = (6, 20)
"""Inputs that a network learns from in all, and so its epochs, within these limits [A]."""

HU_PER_UNIT = 400.0
CLIPPED_HU = (-250.0, 1600.0)
MOST_SHIFT = 2

FEATURES, NETWORK = "features", "network"

Scorer = Callable[[NDArray[np.intp], NDArray[np.intp]], FloatArray]
"""Rows to learn from and rows to score: the scores ``(n,)`` of the latter, higher for made."""


@dataclass(frozen=True)
class TwoSample:
    """Held-out scores of one classifier.

    Attributes:
        name: ``features`` or ``network``.
        auc: of made above real; 0.5 is chance.
        scores: ``(N,)`` of all samples, real first, each from a model that met no scan of its
            subject.
    """

    name: str
    auc: Estimate
    scores: FloatArray


def feature_classifier(
    features: FloatArray, is_made: NDArray[np.bool_], groups: NDArray[np.str_], seed: int = 0
) -> TwoSample | None:
    """Return how well ridge logistic regression on features ``(N, F)`` tells made from real."""
    target = is_made.astype(int)

    def score(learned: NDArray[np.intp], held_out: NDArray[np.intp]) -> FloatArray:
        inner = grouped_folds(groups[learned], is_made[learned], INNER_FOLDS, seed + 1)
        losses = [
            _held_out_loss(features[learned], target[learned], inner, one) for one in PENALTIES
        ]
        best = PENALTIES[int(np.argmin(losses))]
        return _linear(features[learned], target[learned], features[held_out], best)

    return _two_sample(FEATURES, score, is_made, groups, FOLDS, seed)


def network_classifier(
    blocks: NDArray[np.int16], is_made: NDArray[np.bool_], groups: NDArray[np.str_], seed: int = 0
) -> TwoSample | None:
    """Return how well a small 3D network tells made from real blocks of voxels ``(N, D, H, W)``."""
    images = torch.from_numpy(blocks)[:, None]
    target = torch.from_numpy(is_made.astype(np.float32))

    def score(learned: NDArray[np.intp], held_out: NDArray[np.intp]) -> FloatArray:
        torch.manual_seed(seed)
        network = _Network()
        wanted = target[learned]
        epochs = int(np.clip(PASSES // len(learned), *EPOCHS))
        with one_thread():
            train(
                network,
                images[learned],
                lambda read, rows: nn.functional.binary_cross_entropy_with_logits(
                    read, wanted[rows]
                ),
                _jitter,
                Schedule(epochs=epochs, batch=8),
                seed,
            )
            with torch.no_grad():
                read = [network(part) for part in images[held_out].split(8)]
        return np.asarray(torch.cat(read).double().numpy())

    return _two_sample(NETWORK, score, is_made, groups, NETWORK_FOLDS, seed)


def grouped_folds(
    groups: NDArray[np.str_], is_made: NDArray[np.bool_], folds: int, seed: int
) -> NDArray[np.intp]:
    """Return the fold of each row: a subject's scans, real and made, all lie in one.

    Subjects are dealt in random order, those with made and real scans, real alone and made alone
    each evenly.
    """
    names = np.unique(groups)
    kinds = np.array([_kind(is_made[groups == name]) for name in names])
    order = np.random.default_rng(seed).permutation(len(names))
    ordered = order[np.argsort(kinds[order], kind="stable")]
    fold = np.empty(len(names), dtype=np.intp)
    fold[ordered] = np.arange(len(names)) % folds
    return np.asarray(fold[np.searchsorted(names, groups)])


def held_out_auc(
    scores: FloatArray,
    is_made: NDArray[np.bool_],
    groups: NDArray[np.str_],
    fold: NDArray[np.intp],
    seed: int = 0,
) -> Estimate:
    """Return the AUC of held-out scores, with its bootstrap interval over subjects.

    Only pairs of one fold are compared, since models of different folds have scores of different
    scale (Airola et al. 2011). A drawn subject brings all of its scans. Other subjects would also
    have taught other models: for that the interval is wider by sqrt(1 + K / (K - 1)), the
    correction of Nadeau and Bengio (2003) for K folds.
    """
    real, made = np.flatnonzero(~is_made), np.flatnonzero(is_made)
    together = (fold[real][:, None] == fold[made][None, :]).astype(float)
    above = scores[made][None, :] - scores[real][:, None]
    wins = ((above > 0) + 0.5 * (above == 0)) * together
    names, place = np.unique(groups, return_inverse=True)
    weight = subject_draws(len(names), seed)[:, place]
    over = np.einsum("bi,ij,bj->b", weight[:, real], wins, weight[:, made], optimize=True)
    under = np.einsum("bi,ij,bj->b", weight[:, real], together, weight[:, made], optimize=True)
    value = float(wins.sum() / together.sum())
    folds = len(np.unique(fold))
    apart = (over[under > 0] / under[under > 0] - value) * np.sqrt(1 + folds / max(folds - 1, 1))
    low, high = percentiles(np.clip(value + apart, 0.0, 1.0))
    return Estimate(value, low, high, len(names))


def _two_sample(
    name: str,
    score: Scorer,
    is_made: NDArray[np.bool_],
    groups: NDArray[np.str_],
    most_folds: int,
    seed: int,
) -> TwoSample | None:
    subjects = [len(np.unique(groups[rows])) for rows in (is_made, ~is_made)]
    if min(subjects) < FEWEST_SUBJECTS // 2 or len(np.unique(groups)) < FEWEST_SUBJECTS:
        return None
    folds = min(most_folds, *subjects)
    fold = grouped_folds(groups, is_made, folds, seed)
    scores = np.empty(len(groups))
    for number in range(folds):
        learned, held_out = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        scores[held_out] = score(learned, held_out)
    return TwoSample(name, held_out_auc(scores, is_made, groups, fold, seed), scores)


def _held_out_loss(
    features: FloatArray, target: NDArray[np.int_], fold: NDArray[np.intp], penalty: float
) -> float:
    loss = 0.0
    for number in range(INNER_FOLDS):
        out = fold == number
        if len(np.unique(target[~out])) < 2 or not out.any():
            continue
        logits = _linear(features[~out], target[~out], features[out], penalty)
        loss += float(np.logaddexp(0.0, np.where(target[out] == 1, -logits, logits)).sum())
    return loss


def _linear(
    features: FloatArray, target: NDArray[np.int_], others: FloatArray, penalty: float
) -> FloatArray:
    """Return the logits of others; both kinds count alike, however many samples each has."""
    standard = Standard.of(features)
    model = LogisticRegression(C=penalty, class_weight="balanced", max_iter=500)
    model.fit(standard(features), target)
    return np.asarray(model.decision_function(standard(others)))


class _Network(nn.Module):
    """HU ``(N, 1, D, H, W)`` to a logit ``(N,)``."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = SpreadEncoder(1, WIDTHS)
        self.last = nn.Linear(self.encoder.features, 1)

    def forward(self, hu: Tensor) -> Tensor:
        """Return the logit of being made."""
        scaled = hu.float().clamp(*CLIPPED_HU) / HU_PER_UNIT
        read: Tensor = self.last(self.encoder(scaled))[:, 0]
        return read


def _jitter(hu: Tensor, generator: torch.Generator) -> Tensor:
    """Return blocks moved by a few voxels, and half of them with front and back exchanged."""
    shifts = torch.randint(-MOST_SHIFT, MOST_SHIFT + 1, (3,), generator=generator).tolist()
    moved = torch.roll(hu, shifts, dims=(2, 3, 4))
    flipped = torch.rand(len(hu), generator=generator) < 0.5
    return torch.where(flipped[:, None, None, None, None], moved.flip(3), moved)


def _kind(made: NDArray[np.bool_]) -> int:
    return 0 if made.any() and not made.all() else 1 if made.all() else 2


def stronger(found: Sequence[TwoSample]) -> TwoSample | None:
    """Return the classifier with the higher AUC: the one that counts; None of none."""
    return max(found, key=lambda one: one.auc.value, default=None)
