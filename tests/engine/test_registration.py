"""Registration on small hips whose displacement is known."""

import pytest
import torch
from torch import Tensor

from qctkit.engine.registration import displacement_mm, knots, register, sampled, smoothed
from tests.engine.hips import POSITIONS_MM, VIEW, hip

SHIFT_MM = (0.0, 3.0, 5.0)
TEMPLATE = hip()[None]
IMAGES = torch.stack(
    [
        hip(),
        hip(moved_mm=SHIFT_MM),
        hip(size=1.15),
        hip(bone_hu=360.0),
        hip(muscle_mm=28.0),
    ]
)
SAME, SHIFTED, LARGER, DENSER, STOUTER = range(5)
BONE = TEMPLATE[0, 1] > 0.5


@pytest.fixture(scope="module")
def velocity() -> Tensor:
    return register(TEMPLATE, IMAGES, VIEW)


@pytest.fixture(scope="module")
def displacement(velocity: Tensor) -> Tensor:
    return displacement_mm(velocity, VIEW)


def _dice(one: Tensor, other: Tensor) -> float:
    both = torch.minimum(one, other).sum()
    return float(2.0 * both / (one.sum() + other.sum()))


def test_one_velocity_a_subject_on_the_views_knots(velocity: Tensor) -> None:
    assert velocity.shape == (5, 3, *knots(VIEW))
    assert not velocity.requires_grad


def test_a_known_shift_of_the_femur_is_found(displacement: Tensor) -> None:
    found = displacement[SHIFTED][:, BONE].mean(dim=1)
    torch.testing.assert_close(found, torch.tensor(SHIFT_MM), rtol=0, atol=0.7)


def test_a_larger_femur_lies_further_from_its_middle(displacement: Tensor) -> None:
    expected = 0.15 * POSITIONS_MM.movedim(-1, 0)[:, BONE]
    found = displacement[LARGER][:, BONE]
    gain = (found * expected).sum() / expected.square().sum()
    assert 0.7 < gain < 1.2


@pytest.mark.parametrize("subject", [SHIFTED, LARGER])
def test_femurs_lie_on_the_template_when_seen_through_the_map(
    subject: int, displacement: Tensor
) -> None:
    seen = sampled(IMAGES[[subject]], displacement[[subject]], VIEW)[0, 1]
    assert _dice(IMAGES[subject, 1], TEMPLATE[0, 1]) < 0.9
    assert _dice(seen, TEMPLATE[0, 1]) > 0.95


def test_the_same_image_hardly_moves(displacement: Tensor) -> None:
    assert displacement[SAME].abs().max() < 0.3


def test_a_difference_in_density_alone_hardly_moves_the_bone(displacement: Tensor) -> None:
    assert displacement[DENSER][:, BONE].norm(dim=0).mean() < 0.4


def test_more_muscle_moves_fat_outwards_and_leaves_the_femur(displacement: Tensor) -> None:
    from_axis = POSITIONS_MM[..., 1:].norm(dim=-1)
    rim = (from_axis > 20.0) & (from_axis < 28.0)
    outwards = (displacement[STOUTER, 1:].movedim(0, -1) * POSITIONS_MM[..., 1:]).sum(dim=-1)
    assert (outwards / from_axis)[rim].mean() > 2.0
    seen = sampled(IMAGES[[STOUTER]], displacement[[STOUTER]], VIEW)[0, 1]
    assert _dice(seen, TEMPLATE[0, 1]) > 0.95


def test_the_flow_of_the_negative_velocity_leads_back(velocity: Tensor) -> None:
    there, back = displacement_mm(velocity, VIEW), displacement_mm(-velocity, VIEW)
    inner = (slice(None), slice(None), *(slice(2, -2),) * 3)
    error = (there + sampled(back, there, VIEW))[inner].norm(dim=1)
    assert there.norm(dim=1).max() > 4.0
    assert error.mean() < 0.1
    assert error.max() < 1.0


def test_a_subject_is_registered_alike_alone_and_among_others(velocity: Tensor) -> None:
    alone = register(TEMPLATE, IMAGES[[LARGER]], VIEW)
    torch.testing.assert_close(alone[0], velocity[LARGER], rtol=0, atol=0.05)
    assert torch.equal(alone, register(TEMPLATE, IMAGES[[LARGER]], VIEW))


def test_no_displacement_gives_the_values_themselves() -> None:
    still = torch.zeros(1, 3, *VIEW.shape)
    torch.testing.assert_close(sampled(TEMPLATE, still, VIEW), TEMPLATE, rtol=0, atol=1e-2)


@pytest.mark.parametrize("axis", range(3))
def test_displacements_are_in_mm_along_superior_anterior_medial(axis: int) -> None:
    shift = torch.zeros(1, 3, *VIEW.shape)
    shift[:, axis] = 2.5
    places = POSITIONS_MM.movedim(-1, 0)[None]
    inner = (0, slice(None), *(slice(1, -1),) * 3)
    moved = (sampled(places, shift, VIEW) - places)[inner]
    expected = torch.zeros(3)
    expected[axis] = 2.5
    torch.testing.assert_close(moved, expected.view(3, 1, 1, 1).expand_as(moved), rtol=0, atol=1e-3)


@pytest.mark.parametrize("sigma", [0.0, 1.2])
def test_smoothing_keeps_sums_and_channels_apart(sigma: float) -> None:
    values = torch.zeros(1, 2, 13, 13, 13)
    values[0, 0, 6, 6, 6] = 1.0
    after = smoothed(values, sigma)
    torch.testing.assert_close(after.sum(dim=(2, 3, 4)), values.sum(dim=(2, 3, 4)))
