import pytest
import torch
from torch import Tensor, nn

from qctkit.networks import PlainEncoder, ResidualEncoder, Schedule, train

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
