"""Small convolutional networks and the training loop that every learned component uses."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from qctkit.contracts import Checkpoint, FitState, Images

ENCODER_NAMES = ("residual", "plain", "spread", "slices")


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread: sums keep their order, so the same seed gives the same bytes.

    It also keeps away from a trap: threads of one process wait for each other by spinning, and a
    busy neighbour then slows small networks twentyfold. Use processes for more cores.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class ResidualEncoder(nn.Module):
    """Strided residual stages, then the mean over space: ``(N, C, D, H, W)`` to ``(N, F)``.

    Strided convolutions and mean pooling have deterministic gradients; max-pooling in 3D has not
    (on CUDA).
    """

    convolution: type[nn.Conv2d | nn.Conv3d] = nn.Conv3d
    stages: nn.Module

    def __init__(self, channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        for width in widths:
            stages.append(self.convolution(channels, width, 3, stride=2, padding=1))
            stages.append(_Residual(width, self.convolution))
            channels = width
        self.stages = nn.Sequential(*stages)
        self.features = channels

    def forward(self, image: Tensor) -> Tensor:
        """Return features ``(N, F)`` of images."""
        found = self.stages(image)
        pooled: Tensor = found.mean(dim=tuple(range(2, found.ndim)))
        return pooled


class SliceEncoder(ResidualEncoder):
    """The same on each slice by itself: ``(N, C, H, W)`` to ``(N, F)``."""

    convolution = nn.Conv2d


class SpreadEncoder(nn.Module):
    """Strided stages, then mean and spread over space: ``(N, C, D, H, W)`` to ``(N, F)``.

    The finest stage has no residual block: in a view of a whole hip it would cost most of the
    time. The spread tells tissues that are mixed from tissue that is even.
    """

    def __init__(self, channels: int, widths: tuple[int, int, int]) -> None:
        super().__init__()
        first, second, third = widths
        self.stages = nn.Sequential(
            nn.Conv3d(channels, first, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv3d(first, second, 3, stride=2, padding=1),
            _Residual(second),
            nn.Conv3d(second, third, 3, stride=2, padding=1),
            _Residual(third),
        )
        self.features = 2 * third

    def forward(self, image: Tensor) -> Tensor:
        """Return features ``(N, F)`` of images ``(N, C, D, H, W)``."""
        return _mean_and_spread(self.stages(image))


class PlainEncoder(nn.Module):
    """Wide plain convolutions with dilation, then mean and spread over space.

    Another architecture on purpose: networks of one kind share their blind spots, so the reader
    outside the loop must not be a sibling of the predictors inside it.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.stem = nn.Conv3d(channels, width, 5, stride=3, padding=2)
        self.middle = nn.Conv3d(width, width, 3, padding=2, dilation=2)
        self.last = nn.Conv3d(width, 2 * width, 3, padding=1)
        self.features = 4 * width

    def forward(self, image: Tensor) -> Tensor:
        """Return features ``(N, F)`` of images ``(N, C, D, H, W)``."""
        hidden = nn.functional.gelu(self.stem(image))
        hidden = nn.functional.gelu(self.middle(hidden))
        hidden = nn.functional.gelu(self.last(hidden))
        return _mean_and_spread(hidden)


Encoder: TypeAlias = ResidualEncoder | PlainEncoder | SpreadEncoder


def encoder_named(name: str, channels: int) -> Encoder:
    """Return a new encoder: ``residual``, ``plain``, ``spread`` (volumetric), or ``slices``."""
    if name == "residual":
        return ResidualEncoder(channels, (8, 16, 32))
    if name == "plain":
        return PlainEncoder(channels, 16)
    if name == "spread":
        return SpreadEncoder(channels, (8, 24, 48))
    return SliceEncoder(channels, (12, 24, 48))


class _Residual(nn.Module):
    def __init__(self, width: int, convolution: type[nn.Conv2d | nn.Conv3d] = nn.Conv3d) -> None:
        super().__init__()
        self.first = convolution(width, width, 3, padding=1)
        self.second = convolution(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        silu = nn.functional.silu
        inner: Tensor = self.second(silu(self.first(silu(x))))
        return x + 0.5 * inner


def _mean_and_spread(hidden: Tensor) -> Tensor:
    mean = hidden.mean(dim=(2, 3, 4))
    squares = (hidden * hidden).mean(dim=(2, 3, 4))
    spread = torch.sqrt(torch.clamp(squares - mean * mean, min=1e-6))
    return torch.cat([mean, spread], dim=1)


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a network is trained.

    Attributes:
        epochs: passes over the training inputs, at most.
        batch: inputs a step.
        learning_rate: peak of the one-cycle schedule of AdamW.
        weight_decay: AdamW's decoupled decay.
        patience: stop after so many epochs without a lower loss on ``watched_share``, and go back
            to the best; 0 trains to the end, which few subjects need: each one watched is missed.
        watched_share: share of the inputs that are watched and not learned from.
        robust_hu: HU by which every voxel is moved against the network before it learns from an
            input; 0 moves none.
    """

    epochs: int = 40
    batch: int = 8
    learning_rate: float = 3e-3
    weight_decay: float = 2e-2
    patience: int = 0
    watched_share: float = 0.15
    robust_hu: float = 0.0


Curve: TypeAlias = tuple[tuple[float, float], ...]
"""Losses by epoch: on what was trained on, as it was seen, and on what was not (else NaN)."""


def train(
    module: nn.Module,
    inputs: Images,
    loss: Callable[[Tensor, Tensor], Tensor],
    jitter: Callable[[Tensor, torch.Generator], Tensor],
    schedule: Schedule,
    seed: int,
    watch: Callable[[], float] | None = None,
    checkpoint: Checkpoint | None = None,
) -> Curve:
    """Train a module in place, leave it in eval mode, and return its losses by epoch.

    Args:
        module: called on jittered inputs.
        inputs: ``(N, C, D, H, W)``, one per subject or slice, of which one batch at a time is read;
            HU in the first channel.
        loss: the scalar to minimise, from the module's outputs and the indices ``(B,)`` of the
            inputs in the batch.
        jitter: a random change of a batch of inputs that keeps what it should learn.
        schedule: epochs, batch, rates.
        seed: of the order and of the jitter.
        watch: the loss on inputs that are not trained on, after each epoch; decides nothing.
        checkpoint: of these very arguments; training goes on from it to the same weights, and
            leaves its end there.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(inputs), generator=generator)
    watched = order[: round(schedule.watched_share * len(inputs)) if schedule.patience else 0]
    learned = order[len(watched) :]
    optimiser = torch.optim.AdamW(
        module.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
    )
    steps = -(-len(learned) // schedule.batch)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, schedule.learning_rate, epochs=schedule.epochs, steps_per_epoch=steps
    )
    best = _Best(module, schedule.patience)
    curve: list[tuple[float, float]] = []
    run = _Run(module, optimiser, rate, generator, best, curve)
    before = None if checkpoint is None else checkpoint.load()
    if before is not None:
        run.restore(before)
    while len(curve) < schedule.epochs and not best.stopped:
        seen_loss = run.epoch(inputs, learned, loss, jitter, schedule)
        curve.append((seen_loss, float("nan") if watch is None else watch()))
        if len(watched):
            best.note(loss_of(module, inputs, watched, loss, schedule.batch))
        if checkpoint is not None and checkpoint.due:
            checkpoint.save(run.state())
    if checkpoint is not None:
        checkpoint.save(run.state())
    best.restore()
    module.eval()
    return tuple(curve)


def against(
    module: nn.Module,
    inputs: Tensor,
    rows: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    step_hu: float,
) -> Tensor:
    """Return inputs whose HU are moved by ``step_hu`` to where the loss grows fastest.

    The fast gradient sign method (Goodfellow et al. 2015, arXiv 1412.6572).
    """
    moved = inputs.detach().requires_grad_()
    (slope,) = torch.autograd.grad(loss(module(moved), rows), moved)
    return torch.cat([inputs[:, :1] + step_hu * slope[:, :1].sign(), inputs[:, 1:]], dim=1)


def loss_of(
    module: nn.Module,
    inputs: Images,
    rows: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    batch: int,
) -> float:
    """Return the loss on some inputs, as they are, in batches."""
    with torch.no_grad():
        parts = [len(some) * loss(module(inputs[some]), some) for some in rows.split(batch)]
    return float(torch.stack(parts).sum() / len(rows))


class _Best:
    """The weights with the lowest loss on watched inputs, and how long ago that was."""

    def __init__(self, module: nn.Module, patience: int) -> None:
        self._module = module
        self._patience = patience
        self.lowest = float("inf")
        self.since = 0
        self.weights: dict[str, Tensor] = {}

    @property
    def stopped(self) -> bool:
        """Whether patience is at its end."""
        return 0 < self._patience <= self.since

    def note(self, loss: float) -> None:
        """Note an epoch's loss."""
        self.since += 1
        if loss < self.lowest:
            self.lowest, self.since = loss, 0
            state = self._module.state_dict()
            self.weights = {name: values.clone() for name, values in state.items()}

    def restore(self) -> None:
        """Go back to the best weights, where any were watched."""
        if self.weights:
            self._module.load_state_dict(self.weights)


@dataclass(frozen=True, eq=False)
class _Run:
    """All of a training that changes from one epoch to the next."""

    module: nn.Module
    optimiser: torch.optim.Optimizer
    rate: torch.optim.lr_scheduler.LRScheduler
    generator: torch.Generator
    best: _Best
    curve: list[tuple[float, float]]

    def epoch(
        self,
        inputs: Images,
        learned: Tensor,
        loss: Callable[[Tensor, Tensor], Tensor],
        jitter: Callable[[Tensor, torch.Generator], Tensor],
        schedule: Schedule,
    ) -> float:
        """Learn from each input once and return the mean loss."""
        self.module.train()
        total = 0.0
        order = torch.randperm(len(learned), generator=self.generator)
        for rows in order.split(schedule.batch):
            chosen = learned[rows]
            seen = jitter(inputs[chosen], self.generator)
            if schedule.robust_hu:
                seen = against(self.module, seen, chosen, loss, schedule.robust_hu)
            value = loss(self.module(seen), chosen)
            total += len(chosen) * float(value.detach())
            self.optimiser.zero_grad(set_to_none=True)
            value.backward()
            nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
            self.optimiser.step()
            self.rate.step()
        self.module.eval()
        return total / len(learned)

    def state(self) -> FitState:
        """Return everything as tensors and JSON values."""
        optimiser = self.optimiser.state_dict()
        moments = {
            f"{row}.{name}": values
            for row, state in optimiser["state"].items()
            for name, values in state.items()
        }
        tensors = {
            **_under("weights", self.module.state_dict()),
            **_under("moments", moments),
            **_under("best", self.best.weights),
            "random": self.generator.get_state(),
            # NaN, of a loss that nobody watched, is no JSON.
            "curve": torch.tensor(self.curve, dtype=torch.float64),
            "best loss": torch.tensor(self.best.lowest, dtype=torch.float64),
        }
        record = {
            "epoch": len(self.curve),
            "since_best": self.best.since,
            "rate": self.rate.state_dict(),
            "groups": optimiser["param_groups"],
        }
        return FitState(tensors, record)

    def restore(self, state: FitState) -> None:
        """Go back to where a state was taken."""
        moments: dict[int, dict[str, Tensor]] = {}
        for key, values in _below("moments", state.tensors).items():
            row, name = key.split(".", 1)
            moments.setdefault(int(row), {})[name] = values
        self.module.load_state_dict(_below("weights", state.tensors))
        self.optimiser.load_state_dict({"state": moments, "param_groups": state.record["groups"]})
        self.rate.load_state_dict(state.record["rate"])
        self.generator.set_state(state.tensors["random"])
        self.best.weights = _below("best", state.tensors)
        self.best.lowest = float(state.tensors["best loss"])
        self.best.since = state.record["since_best"]
        self.curve[:] = [(learned, unseen) for learned, unseen in state.tensors["curve"].tolist()]


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}/{name}": values for name, values in tensors.items()}


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = f"{prefix}/"
    return {
        name.removeprefix(start): values
        for name, values in tensors.items()
        if name.startswith(start)
    }
