"""Early warning: what predictors of the loop read that were fitted without the source's subject.

A change that fools one predictor moves its reading and not that of its twin, which learned the same
from other people. The twins are those of the cross-validation; they decide nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qctkit.pipeline.augment_plan import Plan
from qctkit.pipeline.augment_work import Work
from qctkit.pipeline.carry import reads
from qctkit.predictors.trained import TrainedPredictor
from qctkit.view import View

NOTICED = 0.5
"""Typical errors by which a reading in the loop must move before its twin is asked to follow."""

FOLLOWED = 0.5
"""Share of that move that a twin must follow [A]: it learned from fewer people, and follows a real
change by less."""


@dataclass(frozen=True)
class TwinReading:
    """What a predictor of the loop reads before and after, and its twins that never saw the source.

    Attributes:
        predictor, attribute: whose reading of what (years, kg, or a logit for sex).
        before, after: in the loop.
        unseen_before, unseen_after: of the twins, their mean.
        twins: how many: one for a subject of the training cohort, else one a fold.
        typical_error: of the predictor.
    """

    predictor: str
    attribute: str
    before: float
    after: float
    unseen_before: float
    unseen_after: float
    twins: int
    typical_error: float

    @property
    def is_fooled(self) -> bool:
        """Whether the reading in the loop moved, and those of its twins did not follow."""
        moved, followed = self.after - self.before, self.unseen_after - self.unseen_before
        if abs(moved) < NOTICED * self.typical_error:
            return False
        return followed * moved < FOLLOWED * moved * moved

    @property
    def words(self) -> str:
        """The reading in words."""
        return (
            f"{self.predictor} reads {self.attribute} {self.after - self.before:+.1f} changed, and "
            f"{self.unseen_after - self.unseen_before:+.1f} where it never saw the source"
        )


def twin_readings(plan: Plan, work: Work, images: Mapping[View, Tensor]) -> tuple[TwinReading, ...]:
    """Return the readings of drivers whose twins are stored, of all that they drive.

    ``images`` hold source and candidate ``(2, 2, D, H, W)`` on each view.
    """
    with torch.no_grad():
        return tuple(
            one for driver in plan.drivers for one in _of_driver(driver, plan, work, images)
        )


def warning(readings: Sequence[TwinReading]) -> str:
    """Return in a sentence what may have been fooled, empty where nothing was."""
    fooled = [one.words for one in readings if one.is_fooled]
    return f"the change may fool what drives it: {'; '.join(fooled)}" if fooled else ""


def _of_driver(
    driver: TrainedPredictor, plan: Plan, work: Work, images: Mapping[View, Tensor]
) -> Iterator[TwinReading]:
    twins = driver.without(work.subject.subject_id)
    if not twins:
        return
    shown = images[driver.view]
    own = driver(shown).double()
    others = torch.stack([twin(shown) for twin in twins]).double().mean(dim=0)
    for column, name in enumerate(driver.attributes):
        if name in plan.driven and reads(driver, name):
            yield TwinReading(
                predictor=driver.name,
                attribute=name,
                before=float(own[0, column]),
                after=float(own[1, column]),
                unseen_before=float(others[0, column]),
                unseen_after=float(others[1, column]),
                twins=len(twins),
                typical_error=driver.skills[name].response.residual_sd,
            )
