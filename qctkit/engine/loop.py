"""The optimisation: frozen predictors, an edit per clone, Adam on the edit's parameters."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from qctkit.contracts import AtMost, AttributeTerm, Change, Edit, Gap, Scene
from qctkit.engine.bounds import Bounds, Preservation
from qctkit.engine.framing import reframed
from qctkit.engine.losses.attributes import SquaredError

REACHED_WITHIN = 0.15
"""A reading counts as reached within this share of the predictor's typical error."""

FEWEST_STEPS = 20
"""Steps before a candidate may stop early, so that preservation terms have had their say."""

LEAST_IMPROVEMENT = 1e-3
"""Share by which the loss must fall to count as progress."""


class Stop(StrEnum):
    """Why a candidate's optimisation ended."""

    REACHED = "reached"
    STALLED = "stalled"
    OUT_OF_STEPS = "out of steps"
    REFUSED = "refused by a constraint"
    TRANSFORMED = "nothing to optimise"


@dataclass(frozen=True, eq=False)
class Aim:
    """What one predictor in the loop should come to read, or to measure.

    Attributes:
        read: readings of images ``(N, 2, D, H, W)``, ``(N, C)``.
        wanted: readings wanted, ``(N, C)``; NaN where this sample has no such target.
        typical_error: ``(C,)``, the error on unseen subjects, which weighs each reading.
        side: ``(N, C)`` as of ``Gap``; None where all are amounts.
    """

    read: Callable[[Tensor], Tensor]
    wanted: Tensor
    typical_error: Tensor
    side: Tensor | None = None

    def costs(self, images: Tensor, rows: Tensor, term: AttributeTerm) -> Tensor:
        """Return what each reading of some samples costs, ``(N, C)``; nothing asked, nothing."""
        wanted = self.wanted[rows]
        side = torch.zeros_like(wanted) if self.side is None else self.side[rows]
        gap = Gap(self.read(images), torch.nan_to_num(wanted), self.typical_error, side)
        return torch.where(wanted.isnan(), 0.0, term(gap))


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


def optimise(
    scene: Scene,
    edit: Edit,
    start: Mapping[str, Tensor],
    aims: Sequence[Aim],
    preservation: Preservation,
    *,
    steps: int,
    patience: int,
    held: Collection[str] = (),
    attribute_term: AttributeTerm | None = None,
    tick: Callable[[], None] = lambda: None,
) -> list[Outcome]:
    """Return the outcome of each sample in the batch.

    Minimises, per sample, the mean over aims of what their readings cost, by default
    ((reading - wanted) / typical error)^2, plus the weighted preservation terms, within the bounds
    of the others. Samples never influence one another. Parameters that are held, or whose edit
    gives them no step, stay at their start; terms on parameters do not see them.
    """
    free = [name for name in start if edit.step_sizes[name] > 0.0 and name not in held]
    parameters = {
        name: values.clone().requires_grad_(name in free) for name, values in start.items()
    }
    groups = [{"params": [parameters[name]], "lr": edit.step_sizes[name]} for name in free]
    optimiser = torch.optim.Adam(groups) if groups else None
    if optimiser is None:  # the start is all that can be judged, and costs nothing
        steps = min(steps, 1)
        preservation = [(one, term) for one, term in preservation if isinstance(one, AtMost)]
    judged = _Judged(edit, free, aims, attribute_term or SquaredError(), preservation)
    bounds = Bounds(preservation, len(scene.hu))
    batch = [_Progress() for _ in scene.hu]
    for step in range(steps):
        running = torch.tensor([row for row, one in enumerate(batch) if one.stop is None])
        if not len(running):
            break
        chosen = {name: values[running] for name, values in parameters.items()}
        found = judged(scene.take(running), chosen, running)
        excess = bounds.excess(found.costs, running)
        for place, row in enumerate(running.tolist()):
            batch[row].note(
                _Step(
                    float(found.loss[place].detach()),
                    float(excess[place]),
                    tuple(float(one[place].detach()) for one in found.costs),
                    {name: values[place].detach().clone() for name, values in chosen.items()},
                    reached=bool(found.reached[place]) and float(excess[place]) == 0.0,
                ),
                may_stop=step + 1 >= FEWEST_STEPS,
                patience=patience,
            )
        if optimiser is not None:
            loss = found.loss + bounds.penalty(found.costs, running)
            optimiser.zero_grad(set_to_none=True)
            loss.sum().backward()
            optimiser.step()
            bounds.follow(found.costs, running)
        tick()
    best = {name: torch.stack([one.best.parameters[name] for one in batch]) for name in parameters}
    with torch.no_grad():
        figures, allowed = edit.figures(scene, best), edit.within_limits(scene, best)
    return [
        one.outcome(row, preservation, allowed=bool(within))
        for one, row, within in zip(batch, figures, allowed, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class _Found:
    """What one evaluation of some samples gave.

    ``loss`` ``(N,)`` holds aims and weighted terms, ``reached`` ``(N,)`` whether every aim is, and
    ``costs`` one ``(N,)`` for each preservation term.
    """

    loss: Tensor
    reached: Tensor
    costs: list[Tensor]


@dataclass(frozen=True, eq=False)
class _Judged:
    """What is asked of a change, and of how it is made."""

    edit: Edit
    free: Sequence[str]
    aims: Sequence[Aim]
    attribute_term: AttributeTerm
    preservation: Preservation

    def __call__(self, scene: Scene, parameters: Mapping[str, Tensor], rows: Tensor) -> _Found:
        after = self.edit.apply(scene, parameters)
        shown = reframed(scene, after) if self.edit.reach_mm else after
        images = torch.stack([shown.hu, shown.femur], dim=1)
        loss = torch.zeros(len(rows))
        reached = torch.ones(len(rows), dtype=torch.bool)
        for aim in self.aims:
            missed = aim.costs(images, rows, self.attribute_term)
            loss = loss + missed.mean(dim=1) / len(self.aims)
            reached &= (missed.detach() <= REACHED_WITHIN**2).all(dim=1)
        free = {name: parameters[name] for name in self.free}
        change = Change(self.edit, scene, after, free)
        costs = [term(change) for _, term in self.preservation]
        for (weight, _), cost in zip(self.preservation, costs, strict=True):
            if not isinstance(weight, AtMost):
                loss = loss + weight * cost
        return _Found(loss, reached, costs)


@dataclass(frozen=True, eq=False)
class _Step:
    """One sample at one step; ``excess`` is how far it lies beyond its bounds at most."""

    loss: float
    excess: float
    costs: tuple[float, ...]
    parameters: dict[str, Tensor]
    reached: bool

    def improves(self, best: "_Step") -> bool:
        """Whether it is nearer to its bounds or, within them, costs less."""
        if self.excess or best.excess:
            return self.excess < best.excess * (1.0 - LEAST_IMPROVEMENT)
        return self.loss < best.loss * (1.0 - LEAST_IMPROVEMENT)


class _Progress:
    """What has been seen of one sample so far; it stops as soon as it has a reason."""

    best: _Step

    def __init__(self) -> None:
        self.stop: Stop | None = None
        self._losses: list[float] = []
        self._since_best = 0

    def note(self, step: _Step, *, may_stop: bool, patience: int) -> None:
        if not self._losses or step.improves(self.best):
            self.best, self._since_best = step, 0
        else:
            self._since_best += 1
        self._losses.append(step.loss)
        if self._since_best >= patience:
            self.stop = Stop.STALLED
        if step.reached and may_stop:
            self.stop, self.best = Stop.REACHED, step

    def outcome(
        self, figures: Mapping[str, float], preservation: Preservation, *, allowed: bool
    ) -> Outcome:
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
        # Beyond its limits a candidate is refused, whatever it reads.
        if self.best.excess or not allowed:
            stop = Stop.REFUSED
        steps = len(self._losses)
        return Outcome(self.best.parameters, figures, stop, steps, tuple(self._losses), kept)
