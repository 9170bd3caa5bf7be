"""The loop's twin of a network reads the same and has the same gradient."""

import pytest
import torch

from qctkit.predictors.driving import driving
from qctkit.predictors.network import NetworkPredictor
from qctkit.window import DEFAULT_WINDOW


@pytest.mark.parametrize("encoder", ["residual", "plain", "spread", "slices"])
@pytest.mark.parametrize("shape", [(6, 8, 10), (5, 7, 9)])
def test_readings_and_gradient_are_those_of_the_network(
    encoder: str, shape: tuple[int, int, int]
) -> None:
    torch.manual_seed(0)
    network = NetworkPredictor(encoder, 2, DEFAULT_WINDOW, bone_only=True).double()
    images = torch.rand(3, 2, *shape, dtype=torch.float64)
    images[:, 0] = 600.0 * images[:, 0]
    images.requires_grad_()
    found = []
    for module in (network, driving(network)):
        readings = module(images)
        found.append((readings, *torch.autograd.grad(readings.sin().sum(), images)))
    for own, twin in zip(*found, strict=True):
        torch.testing.assert_close(own, twin, rtol=1e-12, atol=1e-15)
        assert own.abs().max() > 0.0


def test_the_network_itself_stays_as_it_was() -> None:
    network = NetworkPredictor("residual", 1, DEFAULT_WINDOW, bone_only=True)
    before = {name: one.clone() for name, one in network.state_dict().items()}
    twin = driving(network)
    assert not any(one.requires_grad for one in twin.parameters())
    assert all(one.requires_grad for one in network.parameters())
    after = network.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], one) for name, one in before.items())
