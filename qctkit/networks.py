"""Small convolutional networks and the training loop that every learned component uses."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn


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

    def __init__(self, channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        for width in widths:
            stages.append(nn.Conv3d(channels, width, 3, stride=2, padding=1))
            stages.append(_Residual(width))
            channels = width
        self.stages = nn.Sequential(*stages)
        self.features = channels

    def forward(self, image: Tensor) -> Tensor:
        """Return features ``(N, F)`` of images ``(N, C, D, H, W)``."""
        pooled: Tensor = self.stages(image).mean(dim=(2, 3, 4))
        return pooled


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
        mean = hidden.mean(dim=(2, 3, 4))
        squares = (hidden * hidden).mean(dim=(2, 3, 4))
        spread = torch.sqrt(torch.clamp(squares - mean * mean, min=1e-6))
        return torch.cat([mean, spread], dim=1)


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv3d(width, width, 3, padding=1)
        self.second = nn.Conv3d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        silu = nn.functional.silu
        inner: Tensor = self.second(silu(self.first(silu(x))))
        return x + 0.5 * inner


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a network is trained.

    Attributes:
        epochs: passes over the training subjects.
        batch: subjects a step.
        learning_rate: peak of the one-cycle schedule of AdamW.
        weight_decay: AdamW's decoupled decay.
    """

    epochs: int = 40
    batch: int = 8
    learning_rate: float = 3e-3
    weight_decay: float = 2e-2


def train(
    module: nn.Module,
    inputs: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    jitter: Callable[[Tensor, torch.Generator], Tensor],
    schedule: Schedule,
    seed: int,
) -> None:
    """Train a module in place and leave it in eval mode.

    Args:
        module: called on jittered inputs.
        inputs: ``(N, C, D, H, W)``, one per subject.
        loss: the scalar to minimise, from the module's outputs and the indices ``(B,)`` of the
            subjects in the batch.
        jitter: a random change of a batch of inputs that keeps what it should learn.
        schedule: epochs, batch, rates.
        seed: of the order and of the jitter.
    """
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(
        module.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
    )
    steps = -(-len(inputs) // schedule.batch)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, schedule.learning_rate, epochs=schedule.epochs, steps_per_epoch=steps
    )
    module.train()
    for _ in range(schedule.epochs):
        for chosen in torch.randperm(len(inputs), generator=generator).split(schedule.batch):
            value = loss(module(jitter(inputs[chosen], generator)), chosen)
            optimiser.zero_grad(set_to_none=True)
            value.backward()
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimiser.step()
            rate.step()
    module.eval()
