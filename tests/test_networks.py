from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from qctkit.contracts import FitState
from qctkit.networks import Curve, PlainEncoder, ResidualEncoder, Schedule, against, train
from qctkit.predictors.checkpoint import FileCheckpoint

ENCODERS = [ResidualEncoder(2, (4, 8)), PlainEncoder(2, 4)]


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda one: type(one).__name__)
def test_an_encoder_gives_the_features_it_states(encoder: nn.Module) -> None:
    features = encoder(torch.randn(3, 2, 20, 16, 16))
    assert features.shape == (3, encoder.features)
    assert features.isfinite().all()


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda one: type(one).__name__)
def test_the_gradient_of_a_constant_image_is_finite(encoder: nn.Module) -> None:
    image = torch.zeros(1, 2, 12, 12, 12, requires_grad=True)
    encoder(image).sum().backward()
    assert image.grad is not None
    assert image.grad.isfinite().all()


def _trained(seed: int) -> tuple[nn.Linear, list[float]]:
    torch.manual_seed(0)
    module = nn.Linear(3, 1)
    inputs = torch.randn(20, 3, generator=torch.Generator().manual_seed(1))
    wanted = inputs @ torch.tensor([[1.0], [-2.0], [0.5]])
    losses: list[float] = []

    def loss(found: Tensor, chosen: Tensor) -> Tensor:
        value = ((found - wanted[chosen]) ** 2).mean()
        losses.append(float(value.detach()))
        return value

    schedule = Schedule(epochs=30, learning_rate=0.1, weight_decay=0.0)
    train(module, inputs, loss, lambda batch, _: batch, schedule, seed)
    return module, losses


def test_training_learns_a_planted_line_and_ends_in_eval_mode() -> None:
    module, losses = _trained(0)
    assert losses[-1] < 0.01 * losses[0]
    assert not module.training


def test_one_seed_trains_equal_weights_and_another_does_not() -> None:
    first, again, other = (_trained(seed)[0].weight for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


class _Read(nn.Module):
    """An encoder with one output, of images in HU."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = ResidualEncoder(2, (4, 8))
        self.head = nn.Linear(8, 1)

    def forward(self, image: Tensor) -> Tensor:
        read: Tensor = self.head(self.encoder(image / 300.0))
        return read


def _images() -> Tensor:
    return 300.0 * torch.randn(6, 2, 12, 12, 12, generator=torch.Generator().manual_seed(1))


def _off(read: Tensor, chosen: Tensor) -> Tensor:
    return ((read[:, 0] - chosen) ** 2).mean()


def test_moving_the_hu_against_a_network_raises_its_loss_within_the_step() -> None:
    torch.manual_seed(0)
    module, images, rows = _Read(), _images(), torch.arange(6)
    moved = against(module, images, rows, _off, 20.0)
    assert _off(module(moved), rows) > _off(module(images), rows)
    assert (moved - images)[:, 0].abs().max() == pytest.approx(20.0, abs=1e-3)
    assert torch.equal(moved[:, 1:], images[:, 1:])
    assert not moved.requires_grad
    assert all(one.grad is None for one in module.parameters())


def test_robust_training_lets_less_be_done_against_a_network() -> None:
    worse = []
    for robust_hu in (0.0, 30.0):
        torch.manual_seed(0)
        module, images, rows = _Read(), _images(), torch.arange(6)
        schedule = Schedule(epochs=40, batch=6, robust_hu=robust_hu)
        train(module, images, _off, lambda batch, _: batch, schedule, 0)
        moved = against(module, images, rows, _off, 30.0)
        worse.append(float(_off(module(moved), rows).detach()))
    assert worse[1] < 0.8 * worse[0]


class _KilledError(Exception):
    pass


class _KilledAfter(FileCheckpoint):
    """A checkpoint every epoch, whose process dies right after some of them."""

    def __init__(self, stem: Path, epochs: int) -> None:
        super().__init__(stem, every_seconds=0.0)
        self.epochs = epochs

    def save(self, state: FitState) -> None:
        super().save(state)
        if state.record["epoch"] == self.epochs:
            raise _KilledError


def _checkpointed(checkpoint: FileCheckpoint | None, schedule: Schedule) -> tuple[nn.Module, Curve]:
    torch.manual_seed(0)
    module, images = _Read(), _images()

    def jitter(batch: Tensor, generator: torch.Generator) -> Tensor:
        return batch + 50.0 * torch.randn(batch.shape, generator=generator)

    def watch() -> float:
        with torch.no_grad():
            return float(_off(module(images), torch.arange(6)))

    return module, train(module, images, _off, jitter, schedule, 3, watch, checkpoint)


@pytest.mark.parametrize("killed_after", [1, 4, 7])
@pytest.mark.parametrize(
    "schedule",
    [
        Schedule(epochs=7, batch=4),
        Schedule(epochs=7, batch=4, patience=1, watched_share=0.4),
        Schedule(epochs=7, batch=4, patience=5, watched_share=0.4, robust_hu=10.0),
    ],
)
def test_a_killed_training_goes_on_to_the_same_weights_and_losses(
    schedule: Schedule, killed_after: int, tmp_path: Path
) -> None:
    whole, curve = _checkpointed(None, schedule)
    if len(curve) < killed_after:
        pytest.skip("patience was at its end before")
    with pytest.raises(_KilledError):
        _checkpointed(_KilledAfter(tmp_path / "fit", killed_after), schedule)
    again, resumed = _checkpointed(FileCheckpoint(tmp_path / "fit"), schedule)
    assert resumed == curve
    for name, values in whole.state_dict().items():
        assert torch.equal(values, again.state_dict()[name])
    assert not again.training


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    schedule = Schedule(epochs=3)
    whole, _ = _checkpointed(FileCheckpoint(tmp_path / "fit"), schedule)
    # Its one save would raise if an epoch were trained.
    again, _ = _checkpointed(_KilledAfter(tmp_path / "fit", epochs=4), schedule)
    assert torch.equal(whole.head.weight, again.head.weight)


def test_a_cut_checkpoint_is_none_and_parts_do_not_mix(tmp_path: Path) -> None:
    checkpoint = FileCheckpoint(tmp_path / "fit-0001", every_seconds=60.0)
    assert checkpoint.due
    checkpoint.save(FitState({"w": torch.ones(2)}, {"epoch": 2, "rate": 0.1}))
    assert not checkpoint.due
    found = FileCheckpoint(tmp_path / "fit-0001").load()
    assert found is not None
    assert (found.tensors["w"].tolist(), found.record) == ([1.0, 1.0], {"epoch": 2, "rate": 0.1})
    assert checkpoint.part("member-1").load() is None
    (tmp_path / "fit-0001.checkpoint").write_bytes(b"cut")
    assert checkpoint.load() is None
