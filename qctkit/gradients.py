"""One contract between the optimisation and whatever computes its gradient; needs no torch.

The optimisation hands over images with what is asked of each, and is given back what each costs,
what is read of it and where it should move. It need not know whether PyTorch, ONNX Runtime or
something else computed that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Asked:
    """What a predictor should read of each image of a batch.

    Attributes:
        wanted: readings ``(N, A)`` in years, kg and logits.
        weight: ``(N, A)``, one over the typical error of a reading; 0 where nothing is asked.
        side: ``(N, A)``: of the logit of a class, 1 or -1 for the side of the class asked for; 0
            for an amount.
    """

    wanted: Array
    weight: Array
    side: Array

    def take(self, rows: slice) -> "Asked":
        """Return what is asked of some of the images."""
        return Asked(self.wanted[rows], self.weight[rows], self.side[rows])


@dataclass(frozen=True, eq=False)
class Gradients:
    """What came of a batch.

    Attributes:
        losses: ``(N,)``, the sum of what the readings that are asked for cost.
        readings: ``(N, A)`` in years, kg and logits.
        gradient: ``(N, 2, D, H, W)``, of each sample's loss with respect to its own image.
    """

    losses: Array
    readings: Array
    gradient: Array


class GradientSource(Protocol):
    """Values, predictions and input gradients of a batch.

    Contract:
        - images ``(N, 2, D, H, W)`` (HU, femur share) of any N of at least 1;
        - each sample's result depends on its own image and on what is asked of it alone;
        - a weight of 0 asks nothing: such a reading costs nothing, and nothing is moved for it;
        - weights of the predictor never get a gradient, and nothing that is given is changed.
    """

    @property
    def attributes(self) -> Sequence[str]:
        """What the columns of the readings are."""
        ...

    @property
    def attribute_term(self) -> str:
        """Name of the term that says what missing a reading costs."""
        ...

    def __call__(self, images: Array, asked: Asked) -> Gradients:
        """Return losses, readings and gradients."""
        ...
