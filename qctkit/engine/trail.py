"""What has been seen of one sample on its way, and why it stopped."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from torch import Tensor

from qctkit.contracts import AtMost
from qctkit.engine.bounds import Preservation

FEWEST_STEPS = 20
"""Steps before a candidate may stop early, so that preservation terms have had their say; where
the pace sets out with longer steps than the edits', they must have fallen to those as well."""

LEAST_IMPROVEMENT = 1e-3
"""Share by which the loss must fall to count as progress."""


class Stop(StrEnum):
    """Why a candidate's optimisation ended."""

    REACHED = "reached"
    STALLED = "stalled"
    OUT_OF_STEPS = "out of steps"
    REFUSED = "refused by a constraint"
    TRANSFORMED = "nothing to optimise"


@dataclass(frozen=True)
class Kept:
    """What a preservation term came to.

    Attributes:
        term: its name.
        cost: of the change that came out.
        weight: that the recipe gives; None where it gives a bound.
        at_most: the bound; None where there is none.
    """

    term: str
    cost: float
    weight: float | None
    at_most: float | None

    @property
    def is_broken(self) -> bool:
        """Whether the cost lies above its bound."""
        return self.at_most is not None and self.cost > self.at_most


@dataclass(frozen=True, eq=False)
class Outcome:
    """How one candidate's optimisation ended.

    Attributes:
        parameters: the edit's parameters at the lowest loss met within all bounds.
        figures: how far the edit goes with them, by name with unit.
        stop: why it ended; ``steps`` how many were taken; ``losses`` one a step, of aims and
            weighted terms.
        kept: what each preservation term came to.
    """

    parameters: Mapping[str, Tensor]
    figures: Mapping[str, float]
    stop: Stop
    steps: int
    losses: tuple[float, ...]
    kept: tuple[Kept, ...] = ()


@dataclass(frozen=True)
class Met:
    """What one sample met at one step.

    Attributes:
        loss: of aims and weighted terms.
        excess: how far it lies beyond its bounds at most.
        costs: of each preservation term.
        reached: whether every aim is reached, within all bounds.
    """

    loss: float
    excess: float
    costs: tuple[float, ...]
    reached: bool

    def improves(self, best: "Met") -> bool:
        """Whether it is nearer to its bounds or, within them, costs less."""
        if self.excess or best.excess:
            return self.excess < best.excess * (1.0 - LEAST_IMPROVEMENT)
        return self.loss < best.loss * (1.0 - LEAST_IMPROVEMENT)


class Trail:
    """What has been seen of one sample so far; it stops as soon as it has a reason.

    Args:
        steps: most steps that it may take.
        patience: steps without progress after which it has stalled.
        fewest: steps before it may stop because it has reached its aims.
    """

    best: Met
    best_parameters: Mapping[str, Tensor]

    def __init__(self, steps: int, patience: int, fewest: int = FEWEST_STEPS) -> None:
        self.stop: Stop | None = None
        self._most, self._patience, self._fewest = steps, patience, fewest
        self._losses: list[float] = []
        self._since_best = 0

    @property
    def steps(self) -> int:
        """How many steps have been seen."""
        return len(self._losses)

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to do."""
        return self.stop is not None or self.steps >= self._most

    def note(self, met: Met, parameters: Mapping[str, Tensor]) -> None:
        """Note what a step met; parameters are copied where they are worth keeping."""
        self._since_best += 1
        if not self._losses or met.improves(self.best):
            self._since_best = 0
            self._keep(met, parameters)
        self._losses.append(met.loss)
        if self._since_best >= self._patience:
            self.stop = Stop.STALLED
        if met.reached and self.steps >= self._fewest:
            self.stop = Stop.REACHED
            self._keep(met, parameters)

    def outcome(
        self, figures: Mapping[str, float], preservation: Preservation, *, allowed: bool
    ) -> Outcome:
        """Return how it ended; what is beyond the edit's limits is refused, whatever it reads."""
        kept = tuple(
            Kept(
                term.name,
                cost,
                None if isinstance(one, AtMost) else one,
                one.cost if isinstance(one, AtMost) else None,
            )
            for (one, term), cost in zip(preservation, self.best.costs, strict=True)
        )
        stop = Stop.REACHED if self.best.reached else self.stop or Stop.OUT_OF_STEPS
        if self.best.excess or not allowed:
            stop = Stop.REFUSED
        return Outcome(self.best_parameters, figures, stop, self.steps, tuple(self._losses), kept)

    def _keep(self, met: Met, parameters: Mapping[str, Tensor]) -> None:
        self.best = met
        self.best_parameters = {name: one.detach().clone() for name, one in parameters.items()}
