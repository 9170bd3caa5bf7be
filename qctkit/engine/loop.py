"""The optimisation: frozen predictors, an edit per clone, Adam on the edit's parameters."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from qctkit.contracts import Change, Edit, LossTerm, Scene
from qctkit.engine.framing import reframed

REACHED_WITHIN = 0.15
"""A reading counts as reached within this share of the predictor's typical error."""

FEWEST_STEPS = 20
"""Steps before a candidate may stop, so that preservation terms have had their say."""

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
    """

    read: Callable[[Tensor], Tensor]
    wanted: Tensor
    typical_error: Tensor


@dataclass(frozen=True, eq=False)
class Outcome:
    """How one candidate's optimisation ended.

    Attributes:
        parameters: the edit's parameters at the lowest loss met.
        figures: how far the edit goes with them, by name with unit.
        stop: why it ended; ``steps`` how many were taken; ``losses`` one a step.
    """

    parameters: Mapping[str, Tensor]
    figures: Mapping[str, float]
    stop: Stop
    steps: int
    losses: tuple[float, ...]


def optimise(
    scene: Scene,
    edit: Edit,
    start: Mapping[str, Tensor],
    aims: Sequence[Aim],
    preservation: Sequence[tuple[float, LossTerm]],
    *,
    steps: int,
    patience: int,
    held: Collection[str] = (),
    tick: Callable[[], None] = lambda: None,
) -> list[Outcome]:
    """Return the outcome of each sample in the batch.

    Minimises, per sample, the mean over aims of ((reading - wanted) / typical error)^2 plus the
    weighted preservation terms. Samples never influence one another. Parameters that are held,
    or whose edit gives them no step, stay at their start and cost nothing.
    """
    free = [name for name in start if edit.step_sizes[name] > 0.0 and name not in held]
    parameters = {
        name: values.clone().requires_grad_(name in free) for name, values in start.items()
    }
    groups = [{"params": [parameters[name]], "lr": edit.step_sizes[name]} for name in free]
    optimiser = torch.optim.Adam(groups) if groups else None
    if optimiser is None:  # the start is all that can be judged
        steps, preservation = min(steps, 1), ()
    batch = [_Progress() for _ in scene.hu]
    for step in range(steps):
        running = torch.tensor([row for row, one in enumerate(batch) if one.stop is None])
        if not len(running):
            break
        chosen = {name: values[running] for name, values in parameters.items()}
        shown = scene.take(running)
        loss, reached = _evaluate(shown, edit, chosen, free, aims, preservation, running)
        for place, row in enumerate(running.tolist()):
            batch[row].note(
                float(loss[place].detach()),
                {name: values[place].detach().clone() for name, values in chosen.items()},
                reached=bool(reached[place]) and step + 1 >= FEWEST_STEPS,
                patience=patience,
            )
        if optimiser is not None:
            optimiser.zero_grad(set_to_none=True)
            loss.sum().backward()
            optimiser.step()
        tick()
    best = {name: torch.stack([one.best[name] for one in batch]) for name in parameters}
    with torch.no_grad():
        figures, allowed = edit.figures(scene, best), edit.within_limits(scene, best)
    return [
        one.outcome(row, allowed=bool(within))
        for one, row, within in zip(batch, figures, allowed, strict=True)
    ]


def _evaluate(
    scene: Scene,
    edit: Edit,
    parameters: Mapping[str, Tensor],
    free: Sequence[str],
    aims: Sequence[Aim],
    preservation: Sequence[tuple[float, LossTerm]],
    rows: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return the loss ``(N,)``, and whether every aim is reached ``(N,)``."""
    after = edit.apply(scene, parameters)
    shown = reframed(scene, after) if edit.reach_mm else after
    images = torch.stack([shown.hu, shown.femur], dim=1)
    change = Change(edit, scene, after, {name: parameters[name] for name in free})
    loss = torch.zeros(len(rows))
    reached = torch.ones(len(rows), dtype=torch.bool)
    for aim in aims:
        wanted = aim.wanted[rows]
        asked = ~wanted.isnan()
        error = (aim.read(images) - torch.nan_to_num(wanted)) / aim.typical_error
        error = torch.where(asked, error, 0.0)
        loss = loss + error.square().mean(dim=1) / len(aims)
        reached &= (error.detach().abs() <= REACHED_WITHIN).all(dim=1)
    for weight, term in preservation:
        loss = loss + weight * term(change)
    return loss, reached


class _Progress:
    """What has been seen of one sample so far; it stops as soon as it has a reason."""

    def __init__(self) -> None:
        self.stop: Stop | None = None
        self._losses: list[float] = []
        self.best: dict[str, Tensor] = {}
        self._lowest = float("inf")
        self._since_best = 0

    def note(
        self,
        loss: float,
        parameters: dict[str, Tensor],
        *,
        reached: bool,
        patience: int,
    ) -> None:
        self._losses.append(loss)
        if loss < self._lowest * (1.0 - LEAST_IMPROVEMENT) or not self.best:
            self._lowest, self.best, self._since_best = loss, parameters, 0
        else:
            self._since_best += 1
        if self._since_best >= patience:
            self.stop = Stop.STALLED
        if reached:
            self.stop, self.best = Stop.REACHED, parameters

    def outcome(self, figures: Mapping[str, float], *, allowed: bool) -> Outcome:
        # Beyond its limits a candidate is refused, whatever it reads.
        stop = (self.stop or Stop.OUT_OF_STEPS) if allowed else Stop.REFUSED
        return Outcome(self.best, figures, stop, len(self._losses), tuple(self._losses))
