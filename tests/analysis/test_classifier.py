import numpy as np
import pytest
from scipy import ndimage

from qctkit.analysis.classifier import (
    feature_classifier,
    grouped_folds,
    held_out_auc,
    network_classifier,
)

SUBJECTS = 20
NAMES = np.array([f"S{number:02d}" for number in range(SUBJECTS)])
GROUPS = np.tile(NAMES, 2)
IS_MADE = np.arange(2 * SUBJECTS) >= SUBJECTS


def _features(shift: float, seed: int = 0) -> np.ndarray:
    features = np.random.default_rng(seed).normal(size=(2 * SUBJECTS, 10))
    features[IS_MADE, 0] += shift
    return features


def test_a_subjects_scans_lie_in_one_fold() -> None:
    fold = grouped_folds(GROUPS, IS_MADE, 5, seed=0)
    assert np.array_equal(fold[:SUBJECTS], fold[SUBJECTS:])
    assert sorted(np.bincount(fold[:SUBJECTS])) == [4, 4, 4, 4, 4]


def test_what_is_alike_cannot_be_told_apart_and_what_differs_can() -> None:
    same = feature_classifier(_features(0.0), IS_MADE, GROUPS)
    other = feature_classifier(_features(4.0), IS_MADE, GROUPS)
    assert same is not None
    assert other is not None
    assert not same.auc.excludes(0.5)
    assert other.auc.value > 0.95


def test_the_classifier_never_meets_the_subjects_it_scores() -> None:
    """A feature that names the subject, and labels drawn by subject: no skill on new ones."""
    random = np.random.default_rng(1)
    groups = np.repeat([f"S{one}" for one in range(20)], 4)
    features = np.repeat(random.normal(size=(20, 5)), 4, axis=0)
    is_made = np.repeat(random.permutation(np.arange(20) % 2 == 0), 4)
    found = feature_classifier(features, is_made, groups)
    assert found is not None
    assert not found.auc.excludes(0.5)


def test_too_few_subjects_train_no_classifier() -> None:
    rows = np.r_[0:3, SUBJECTS : SUBJECTS + 3]
    assert feature_classifier(_features(4.0)[rows], IS_MADE[rows], GROUPS[rows]) is None


def test_scores_are_compared_within_a_fold_alone() -> None:
    fold = np.tile(np.arange(SUBJECTS) % 2, 2)
    scores = np.where(IS_MADE, 1.0, 0.0) + 100.0 * fold
    assert held_out_auc(scores, IS_MADE, GROUPS, fold).value == 1.0


@pytest.mark.parametrize("level", [0.0, 60.0])
def test_the_network_sees_a_texture_and_nothing_where_there_is_none(level: float) -> None:
    random = np.random.default_rng(2)
    scans = 40.0 + 20.0 * random.normal(size=(2 * SUBJECTS, 6, 16, 16))
    grain = ndimage.gaussian_filter(random.normal(size=scans.shape), (0, 1, 1, 1))
    scans[IS_MADE] += level * (grain / grain.std())[IS_MADE]
    found = network_classifier(scans.astype(np.int16), IS_MADE, GROUPS)
    assert found is not None
    if level:
        assert found.auc.value > 0.9
    else:
        assert not found.auc.excludes(0.5)
