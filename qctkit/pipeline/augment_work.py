"""One candidate on its way: its target, its source, and the source as the loop sees it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from qctkit.engine.targets import Target
from qctkit.frame import FemurFrame, locate
from qctkit.pipeline.augment_plan import Plan
from qctkit.predictors.training import as_tensor
from qctkit.subject import ATTRIBUTES, Subject
from qctkit.view import see


@dataclass(frozen=True, eq=False)
class Work:
    """One candidate on its way: its number, target, whose scan, and what is optimised or drawn.

    The scan itself is read again when its turn comes: a batch of large ones would fill memory.
    """

    number: int
    target: Target
    subject: Subject
    frame: FemurFrame
    image: Tensor
    density_change_hu: float
    transform_seed: int

    def change_asked(self, attribute: str) -> float:
        """Return the change asked of an attribute: 0 where the target leaves it alone."""
        source = self.subject.value(attribute)
        wanted = self.target.values.get(attribute)
        return 0.0 if source is None or wanted is None else wanted - source

    def side(self, attribute: str) -> float:
        """Return 1 or -1 for the class that a logit should read, 0 for an amount."""
        own = self.subject.value(attribute)
        wanted = self.target.values.get(attribute, own)
        if ATTRIBUTES[attribute].kind != "binary" or wanted is None:
            return 0.0
        return 1.0 if wanted > 0.5 else -1.0

    def attributes(self, names: Sequence[str]) -> tuple[dict[str, float | None], dict[str, float]]:
        """Return the source's attributes, and those that are asked to change."""
        now = {name: self.subject.value(name) for name in names}
        return now, {name: self.target.values[name] for name in names if name in self.target.values}


def begin(plan: Plan, number: int) -> Work:
    """Return the candidate of a number before anything is changed; each number draws its own."""
    target = plan.targets[number]
    source = plan.cohort.load(target.source_sample_id)
    frame = locate(source.femur, source.volume.geometry)
    image = as_tensor(see(source.volume, source.femur, frame, plan.view))
    draw = np.random.default_rng([plan.options.seed, 2, number]).normal()
    spread = plan.reference.trabecular_hu.residual_sd
    change = 0.0 if plan.driven else float(np.clip(draw, -2.0, 2.0) * spread)
    seed = int(np.random.default_rng([plan.options.seed, 4, number]).integers(2**31))
    return Work(number, target, source.subject, frame, image, change, seed)
