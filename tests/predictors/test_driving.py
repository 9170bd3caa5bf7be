"""The loop's twin of a network reads the same and has the same gradient."""

import pytest
import torch

from qctkit.predictors.driving import driving, measuring
from qctkit.predictors.features import FEATURES, SIZE, PhysicalFeatures
from qctkit.predictors.gradient_check import femur_images
from qctkit.predictors.network import NetworkPredictor
from qctkit.predictors.physical import PhysicalPredictor
from qctkit.subject import AGE
from qctkit.view import HIP_VIEW
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


@pytest.fixture(scope="module")
def hips() -> torch.Tensor:
    return torch.from_numpy(femur_images(HIP_VIEW, 3))


def _with_gradient(found: torch.Tensor, hu: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    (slope,) = torch.autograd.grad((found * torch.arange(1.0, len(FEATURES) + 1)).sum(), hu)
    return found.detach(), slope


def test_measures_of_femurs_that_stay_and_then_move_are_those_of_the_features(
    hips: torch.Tensor,
) -> None:
    features = PhysicalFeatures(HIP_VIEW)
    measure = measuring(PhysicalPredictor((AGE.name,), HIP_VIEW))
    femur = hips[:, 1]
    for step in (0.0, 25.0, -40.0):
        if step < 0.0:
            femur = femur.roll(2, dims=2)
        hu = (hips[:, 0] + step * femur).requires_grad_()
        image = torch.stack([hu, femur], dim=1)
        own, twin = (_with_gradient(one, hu) for one in (features(image), measure(hu, femur)))
        torch.testing.assert_close(own[0], twin[0], rtol=1e-5, atol=1e-4)
        assert (own[1] - twin[1]).norm() <= 1e-5 * own[1].norm()
        assert own[1].abs().max() > 0.0


def test_a_femur_that_is_free_to_move_has_its_gradient(hips: torch.Tensor) -> None:
    femur = hips[:1, 1].clone().requires_grad_()
    measure = measuring(PhysicalPredictor((AGE.name,), HIP_VIEW))
    measure(hips[:1, 0], femur)[:, : len(SIZE)].sum().backward()
    assert femur.grad is not None
    assert femur.grad.abs().max() > 0.0


def test_the_network_itself_stays_as_it_was() -> None:
    network = NetworkPredictor("residual", 1, DEFAULT_WINDOW, bone_only=True)
    before = {name: one.clone() for name, one in network.state_dict().items()}
    twin = driving(network)
    assert not any(one.requires_grad for one in twin.parameters())
    assert all(one.requires_grad for one in network.parameters())
    after = network.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], one) for name, one in before.items())
