"""The cohort's modes of variation: the directions in which its shapes and densities differ most.

Principal components of shape and density together, after the combined model of Cootes et al.
(2001): velocities and HU of each subject at the template's places, each block scaled to the same
total variance, so that millimetres and HU can be put side by side.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from qctkit.engine.effects import Array

MODES = 10
"""How many are kept: of 29 subjects the later ones are mostly noise."""

LEAST_SHARE = 1e-6
"""Share of the variance below which a mode is none: fewer subjects have fewer modes."""


@dataclass(frozen=True, eq=False)
class Modes:
    """What one standard deviation of each mode does to each source, in its own anatomy.

    Attributes:
        shape_mm: ``(N, M, 3, knots)``, a velocity.
        density_hu: ``(N, M, D, H, W)`` on the view's grid, before the tissue moves.
    """

    shape_mm: Tensor
    density_hu: Tensor


def mode_weights(blocks: tuple[Array, ...]) -> Array:
    """Return ``(M, N)``: each mode as a sum of the subjects' differences from their mean.

    Args:
        blocks: ``(N, P)`` each, what is known of ``N`` subjects.
    """
    subjects = len(blocks[0])
    gram = np.zeros((subjects, subjects))
    for block in blocks:
        apart = block - block.mean(axis=0)
        product = apart @ apart.T
        gram += product / max(float(np.trace(product)), 1e-12)
    variances, vectors = np.linalg.eigh(gram)
    weights = np.zeros((MODES, subjects))
    for mode, place in enumerate(np.argsort(-variances)[:MODES]):
        if variances[place] > LEAST_SHARE:
            vector = vectors[:, place]
            # A direction and its opposite are one mode; this keeps the same one everywhere.
            sign = np.sign(vector[np.argmax(np.abs(vector))])
            weights[mode] = sign * (vector - vector.mean()) / np.sqrt(subjects - 1)
    return weights
