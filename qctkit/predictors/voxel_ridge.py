"""A ridge regression on coarse voxels of the whole hip: a reader of another kind.

It measures nothing and knows no anatomy, and so shares no measure with what drives a loop. Of 29
subjects it learns weight, which networks of so few do not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from qctkit.contracts import Role, TrainingData
from qctkit.predictors.joint import Array
from qctkit.predictors.network import hip_channels
from qctkit.subject import AGE, ATTRIBUTES, SEX, WEIGHT
from qctkit.view import HIP_VIEW, View

BLOCK_MM = 12.0
"""Edge of the blocks whose means are regressed on; 18 mm read as well, and no more."""

PENALTIES = np.geomspace(0.003, 30.0, 25)
"""Ridges tried, over the mean squared distance of a subject from the mean."""


class VoxelRidge(nn.Module):
    """``(N, 2, D, H, W)`` (HU, femur share) to ``(N, A)``: linear in the means of blocks.

    Weight is read by its logarithm; the logit of sex follows from how far held-out readings of
    the two sexes lie apart, over their spread.
    """

    weights: Tensor
    biases: Tensor

    def __init__(self, attributes: Sequence[str], view: View) -> None:
        super().__init__()
        self.attributes = tuple(attributes)
        self._window = view.window
        steps = zip(view.shape, view.spacing_mm, strict=True)
        self._block = tuple(max(min(round(BLOCK_MM / step), n), 1) for n, step in steps)
        blocks = [n // edge for n, edge in zip(view.shape, self._block, strict=True)]
        self.register_buffer("weights", torch.zeros(3 * int(np.prod(blocks)), len(attributes)))
        self.register_buffer("biases", torch.zeros(len(attributes)))

    def forward(self, image: Tensor) -> Tensor:
        """Return estimates ``(N, A)`` in the attributes' own units, a logit for sex."""
        linear = self.blocks(image) @ self.weights + self.biases
        columns = [
            linear[:, column].exp() if name == WEIGHT.name else linear[:, column]
            for column, name in enumerate(self.attributes)
        ]
        return torch.stack(columns, dim=1)

    def blocks(self, image: Tensor) -> Tensor:
        """Return the means of bone, soft tissue and femur over blocks, ``(N, F)``."""
        channels = hip_channels(image, self._window)
        return nn.functional.avg_pool3d(channels, self._block).flatten(1)


@dataclass(frozen=True)
class VoxelRidgeFamily:
    """Ridge regressions whose penalty is chosen by leaving out one scan after another.

    Two hips of one person are not left out together there; skill, by the folds of training, is.
    """

    name: str = "voxel-ridge"
    role: Role = Role.READER
    attributes: tuple[str, ...] = (SEX.name, AGE.name, WEIGHT.name)
    view: View = HIP_VIEW

    def build(self, attributes: Sequence[str], view: View) -> VoxelRidge:
        """Return an untrained model for these attributes on this view."""
        return VoxelRidge(attributes, view)

    def fit(
        self,
        data: TrainingData,
        attributes: Sequence[str],
        seed: int,  # noqa: ARG002 - solves draw nothing
    ) -> VoxelRidge:
        """Return a model fitted to the data."""
        model = self.build(attributes, data.view)
        with torch.no_grad():
            blocks = torch.cat([model.blocks(one) for one in data.singly()]).double().numpy()
        for column, name in enumerate(attributes):
            values = data.values[name].double().numpy()
            known = ~np.isnan(values)
            wanted = np.log(values[known]) if name == WEIGHT.name else values[known]
            line = _ridge(blocks[known], wanted)
            if ATTRIBUTES[name].kind == "binary":
                line = line.as_logit(wanted)
            model.weights[:, column] = torch.from_numpy(line.weights)
            model.biases[column] = line.bias
        return model.eval()


@dataclass(frozen=True, eq=False)
class _Line:
    """``blocks @ weights + bias``, and what lines of the others read of each subject, ``(N,)``."""

    weights: Array
    bias: float
    held_out: Array

    def as_logit(self, classes: Array) -> "_Line":
        """Return the logit of class 1: two normal distributions of equal spread."""
        means = [float(self.held_out[classes == one].mean()) for one in (0.0, 1.0)]
        left = self.held_out - np.where(classes > 0.5, means[1], means[0])
        factor = max(means[1] - means[0], 0.0) / max(float(left.var()), 1e-9)
        middle = sum(means) / 2.0
        return _Line(
            factor * self.weights, factor * (self.bias - middle), factor * (self.held_out - middle)
        )


def _ridge(blocks: Array, wanted: Array) -> _Line:
    """Return the ridge regression of ``(N,)`` on blocks ``(N, F)``, solved between subjects.

    Held-out readings follow from the fit itself (Allen's PRESS, 1974).
    """
    middle, mean = blocks.mean(axis=0), float(wanted.mean())
    centred, left = blocks - middle, wanted - mean
    kernel = centred @ centred.T
    size = max(float(np.trace(kernel)) / len(kernel), 1e-9)
    eigenvalues, vectors = np.linalg.eigh(kernel / size)
    projected = vectors.T @ left
    errors, fits = [], []
    for penalty in PENALTIES:
        solved = vectors @ (projected / (eigenvalues + penalty))
        own = 1.0 / len(kernel) + (vectors**2) @ (eigenvalues / (eigenvalues + penalty))
        error = penalty * solved / np.maximum(1.0 - own, 1e-9)
        errors.append(float(np.mean(error**2)))
        fits.append((solved, error))
    solved, error = fits[int(np.argmin(errors))]
    weights = centred.T @ solved / size
    return _Line(weights, mean - float(middle @ weights), wanted - error)
