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
PASSES = 6000
EPOCHS = (10, 60)
"""Inputs that a network learns from in all, and so its epochs, within these limits."""

BATCH = 8
PATCH = (16, 32, 32)
"""Voxels of a block that a network learns from at a time: more steps for the same work."""

HU_PER_UNIT = 400.0
CLIPPED_HU = (-250.0, 1600.0)
FINE_HU_PER_UNIT, MOST_FINE_HU = 20.0, 60.0
"""Of a voxel less the mean about it in its slice: the noise of a scan, clipped where edges are."""

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
        known, wanted = features[learned], target[learned]
        penalty = _penalty(known, wanted, groups[learned], seed)
        return _linear(known, wanted, penalty)(features[held_out])

    return _two_sample(FEATURES, score, is_made, groups, FOLDS, seed)


def weights_of_features(
    features: FloatArray, is_made: NDArray[np.bool_], groups: NDArray[np.str_], seed: int = 0
) -> FloatArray:
    """Return what the linear model of all samples adds for a standard deviation of each feature.

    ``(F,)`` logits; the sign says whether more of a feature speaks for made. Features that say the
    same share one weight among them.
    """
    target = is_made.astype(int)
    model = _linear(features, target, _penalty(features, target, groups, seed))
    middle = features.mean(axis=0)
    steps = model(middle + np.diag(features.std(axis=0))) - model(middle[None])
    return np.asarray(steps)


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
                _patches,
                Schedule(epochs=epochs, batch=_batch(len(learned))),
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


def _penalty(
    features: FloatArray, target: NDArray[np.int_], groups: NDArray[np.str_], seed: int
) -> float:
    """Return the inverse penalty that serves best on subjects held out of these samples."""
    fold = grouped_folds(groups, target == 1, INNER_FOLDS, seed + 1)
    losses = [_held_out_loss(features, target, fold, one) for one in PENALTIES]
    return PENALTIES[int(np.argmin(losses))]


def _held_out_loss(
    features: FloatArray, target: NDArray[np.int_], fold: NDArray[np.intp], penalty: float
) -> float:
    loss = 0.0
    for number in range(INNER_FOLDS):
        out = fold == number
        if len(np.unique(target[~out])) < 2 or not out.any():
            continue
        logits = _linear(features[~out], target[~out], penalty)(features[out])
        loss += float(np.logaddexp(0.0, np.where(target[out] == 1, -logits, logits)).sum())
    return loss


def _linear(
    features: FloatArray, target: NDArray[np.int_], penalty: float
) -> Callable[[FloatArray], FloatArray]:
    """Return features to logits; both kinds count alike, however many samples each has."""
    standard = Standard.of(features)
    model = LogisticRegression(C=penalty, class_weight="balanced", max_iter=500)
    model.fit(standard(features), target)
    return lambda others: np.asarray(model.decision_function(standard(others)))


class _Network(nn.Module):
    """HU ``(N, 1, D, H, W)`` to a logit ``(N,)``.

    Every stage of the encoder is pooled, since a texture of single voxels is gone after the first,
    and the logit is linear in what was pooled, in spreads of the batch: what differs little but
    surely counts from the first step. The second channel is a voxel less the mean about it, in
    which texture is not hidden by anatomy, as forensics of images does it (Fridrich and Kodovsky
    2012, doi 10.1109/TIFS.2012.2190402).
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = SpreadEncoder(2, WIDTHS)
        self.scale = nn.BatchNorm1d(2 * sum(WIDTHS))
        self.last = nn.Linear(2 * sum(WIDTHS), 1)

    def forward(self, hu: Tensor) -> Tensor:
        """Return the logit of being made."""
        hidden, pooled = _channels(hu), []
        for stage in self.encoder.stages:
            hidden = stage(hidden)
            if not isinstance(stage, nn.Conv3d):
                spread = (hidden.var(dim=(2, 3, 4)) + 1e-6).sqrt()
                pooled += [hidden.mean(dim=(2, 3, 4)), spread]
        read: Tensor = self.last(self.scale(torch.cat(pooled, dim=1)))[:, 0]
        return read


def _channels(hu: Tensor) -> Tensor:
    hu = hu.float()
    about = nn.functional.avg_pool3d(hu, (1, 3, 3), 1, (0, 1, 1), count_include_pad=False)
    fine = (hu - about).clamp(-MOST_FINE_HU, MOST_FINE_HU) / FINE_HU_PER_UNIT
    return torch.cat([hu.clamp(*CLIPPED_HU) / HU_PER_UNIT, fine], dim=1)


def _batch(count: int) -> int:
    """Return a size of batches that leaves no last batch of one, which has no spread."""
    return next(size for size in range(BATCH, count + BATCH) if count % size != 1)


def _patches(hu: Tensor, generator: torch.Generator) -> Tensor:
    """Return one patch of all blocks, drawn, and half of them with front and back exchanged."""
    for axis, size in enumerate(PATCH, start=2):
        spare = max(hu.shape[axis] - size, 0)
        first = int(torch.randint(0, spare + 1, (1,), generator=generator))
        hu = hu.narrow(axis, first, hu.shape[axis] - spare)
    flipped = torch.rand(len(hu), generator=generator) < 0.5
    return torch.where(flipped[:, None, None, None, None], hu.flip(3), hu)


def _kind(made: NDArray[np.bool_]) -> int:
    return 0 if made.any() and not made.all() else 1 if made.all() else 2


def stronger(found: Sequence[TwoSample]) -> TwoSample | None:
    """Return the classifier with the higher AUC: the one that counts; None of none."""
    return max(found, key=lambda one: one.auc.value, default=None)
