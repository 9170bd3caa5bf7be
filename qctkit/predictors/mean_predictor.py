"""The mean predictor: what anyone could read of a subject without looking at the scan."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qctkit.cohort import Record
from qctkit.predictors.metrics import figures_of
from qctkit.subject import ATTRIBUTES

Array = NDArray[np.float64]


def mean_readings(name: str, true: Array, folds: Sequence[Sequence[int]]) -> Array:
    """Return for each held-out row the mean of the subjects not held out with it.

    Args:
        name: the attribute; a binary one is read as the log odds of its share.
        true: ``(N,)``, NaN where unknown.
        folds: rows held out together.
    """
    readings = np.full(len(true), np.nan)
    for held_out in folds:
        learned = np.delete(true, held_out)
        # Two known values may lie in one fold: then there is no other mean to read.
        mean = float(np.nanmean(learned if (~np.isnan(learned)).any() else true))
        if ATTRIBUTES[name].kind == "binary":
            share = np.clip(mean, 1e-3, 1 - 1e-3)
            mean = float(np.log(share / (1 - share)))
        readings[list(held_out)] = mean
    return readings


def mean_figures(name: str, true: Array, read: Array, groups: Sequence[str]) -> Record:
    """Return the figures of the mean predictor, which puts nobody in order: it has no AUC."""
    figures = figures_of(name, true, read, groups)
    return {figure: value for figure, value in figures.items() if figure != "auc"}
