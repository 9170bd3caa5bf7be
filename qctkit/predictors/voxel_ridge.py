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
from qctkit.predictors.network import hip_channels
from qctkit.predictors.ridge import Array, Ridge, ridge
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
    """Ridge regressions whose penalty is chosen by leaving out one person after another."""

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
            known = np.flatnonzero(~np.isnan(values))
            wanted = np.log(values[known]) if name == WEIGHT.name else values[known]
            line = _fitted(blocks[known], wanted, [data.subjects[row] for row in known])
            is_binary = ATTRIBUTES[name].kind == "binary"
            weights, bias = _as_logit(line, wanted) if is_binary else (line.weights, line.bias)
            model.weights[:, column] = torch.from_numpy(weights)
            model.biases[column] = bias
        return model.eval()


def _fitted(blocks: Array, wanted: Array, subjects: Sequence[str]) -> Ridge:
    """Return the ridge regression of ``(N,)`` on blocks ``(N, F)``."""
    size = max(float(blocks.var(axis=0).sum()), 1e-9)
    return ridge(blocks, wanted, subjects, PENALTIES * size)


def _as_logit(line: Ridge, classes: Array) -> tuple[Array, float]:
    """Return weights and bias of the logit of class 1: two normal distributions of equal spread."""
    means = [float(line.held_out[classes == one].mean()) for one in (0.0, 1.0)]
    left = line.held_out - np.where(classes > 0.5, means[1], means[0])
    factor = max(means[1] - means[0], 0.0) / max(float(left.var()), 1e-9)
    return factor * line.weights, factor * (line.bias - sum(means) / 2.0)
