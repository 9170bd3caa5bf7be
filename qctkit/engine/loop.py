"""The optimisation: frozen predictors, an edit per clone, Adam on the edit's parameters."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qctkit.contracts import AtMost, AttributeTerm, Change, Edit, Gap, Pace, Scene
from qctkit.engine.bounds import Bounds, Preservation
from qctkit.engine.descent import Descent
from qctkit.engine.framing import reframed
from qctkit.engine.losses.attributes import SquaredError
from qctkit.engine.trail import FEWEST_STEPS, Kept, Met, Outcome, Stop, Trail

__all__ = ["Aim", "Kept", "Outcome", "Stop", "optimise"]

REACHED_WITHIN = 0.15
"""A reading counts as reached within this share of the predictor's typical error."""

TOGETHER = 8
"""Samples that are worked on at a time, where nothing else is said."""


@dataclass(frozen=True, eq=False)
class Aim:
    """What one predictor in the loop should come to read, or to measure.

    Attributes:
        read: readings ``(N, C)`` of HU and of the femur's share, each ``(N, D, H, W)``: apart, so
            that a femur which stays needs no gradient.
        wanted: readings wanted, ``(N, C)``; NaN where this sample has no such target.
        typical_error: ``(C,)``, the error on unseen subjects, which weighs each reading.
        side: ``(N, C)`` as of ``Gap``; None where all are amounts.
    """

    read: Callable[[Tensor, Tensor], Tensor]
    wanted: Tensor
    typical_error: Tensor
    side: Tensor | None = None

    def costs(self, hu: Tensor, femur: Tensor, rows: Tensor, term: AttributeTerm) -> Tensor:
        """Return what each reading of some samples costs, ``(N, C)``; nothing asked, nothing."""
        wanted = self.wanted[rows]
        side = torch.zeros_like(wanted) if self.side is None else self.side[rows]
        gap = Gap(self.read(hu, femur), torch.nan_to_num(wanted), self.typical_error, side)
        return torch.where(wanted.isnan(), 0.0, term(gap))


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
    pace: Pace | None = None,
    together: int = TOGETHER,
    tick: Callable[[], None] = lambda: None,
) -> list[Outcome]:
    """Return the outcome of each sample.

    Minimises, per sample, the mean over aims of what their readings cost, by default
    ((reading - wanted) / typical error)^2, plus the weighted preservation terms, within the bounds
    of the others. Samples never influence one another: a few are worked on together, those that
    are finished leave, and others enter. Parameters that are held, or whose edit gives them no
    step, stay at their start; terms on parameters do not see them.
    """
    free = {
        name: edit.step_sizes[name]
        for name in start
        if edit.step_sizes[name] > 0.0 and name not in held
    }
    if not free:  # the start is all that can be judged, and costs nothing
        steps = min(steps, 1)
        preservation = [(one, term) for one, term in preservation if isinstance(one, AtMost)]
    judged = _Judged(edit, tuple(free), aims, attribute_term or SquaredError(), preservation)
    bounds = Bounds(preservation, len(scene.hu))
    pace = pace or Pace()
    fewest = max(FEWEST_STEPS, pace.settled(steps) + 1)
    trails = [Trail(steps, patience, fewest) for _ in scene.hu]
    descent = Descent(start, free, pace, steps)
    for rows, part in _groups(scene, trails, descent, together):
        found = judged(part, descent.parameters, rows)
        excess = bounds.excess(found.costs, rows)
        _note([trails[row] for row in rows], found, excess, descent.parameters)
        if free:
            descent.step((found.loss + bounds.penalty(found.costs, rows)).sum())
            bounds.follow(found.costs, rows)
        tick()
    best = {name: torch.stack([one.best_parameters[name] for one in trails]) for name in start}
    with torch.no_grad():
        figures, allowed = edit.figures(scene, best), edit.within_limits(scene, best)
    return [
        one.outcome(row, preservation, allowed=bool(within))
        for one, row, within in zip(trails, figures, allowed, strict=True)
    ]


def _groups(
    scene: Scene, trails: Sequence[Trail], descent: Descent, together: int
) -> Iterator[tuple[Tensor, Scene]]:
    """Yield, step by step, the rows that are worked on and their scene, until all are over."""
    waiting, rows = list(range(len(trails))), list[int]()
    while True:
        kept = [place for place, row in enumerate(rows) if not trails[row].is_over]
        room = together - len(kept)
        if len(kept) < len(rows) or (waiting and room):
            new, waiting = waiting[:room], waiting[room:]
            descent.regroup(kept, new)
            rows = [*(rows[place] for place in kept), *new]
            part = scene.take(torch.tensor(rows, dtype=torch.int64))
        if not rows:
            return
        yield torch.tensor(rows), part


@dataclass(frozen=True, eq=False)
class _Found:
    """What one evaluation of some samples gave.

    ``loss`` ``(N,)`` holds aims and weighted terms, ``reached`` ``(N,)`` whether every aim is, and
    ``costs`` one ``(N,)`` for each preservation term.
    """

    loss: Tensor
    reached: Tensor
    costs: list[Tensor]


def _note(
    trails: Sequence[Trail], found: _Found, excess: Tensor, parameters: Mapping[str, Tensor]
) -> None:
    """Note on each sample's trail what it met."""
    losses, reached, beyond = found.loss.tolist(), found.reached.tolist(), excess.tolist()
    costs = [one.tolist() for one in found.costs]
    for place, trail in enumerate(trails):
        met = Met(
            losses[place],
            beyond[place],
            tuple(one[place] for one in costs),
            reached=reached[place] and beyond[place] == 0.0,
        )
        trail.note(met, {name: values[place] for name, values in parameters.items()})


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
        loss = torch.zeros(len(rows))
        reached = torch.ones(len(rows), dtype=torch.bool)
        for aim in self.aims:
            missed = aim.costs(shown.hu, shown.femur, rows, self.attribute_term)
            loss = loss + missed.mean(dim=1) / len(self.aims)
            reached &= (missed.detach() <= REACHED_WITHIN**2).all(dim=1)
        free = {name: parameters[name] for name in self.free}
        change = Change(self.edit, scene, after, free)
        costs = [term(change) for _, term in self.preservation]
        for (weight, _), cost in zip(self.preservation, costs, strict=True):
            if not isinstance(weight, AtMost):
                loss = loss + weight * cost
        return _Found(loss, reached, costs)
