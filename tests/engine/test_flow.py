import pytest
import torch

from qctkit.engine.flow import Flow, grid_positions_mm, reach_mm, velocity, velocity_knots
from qctkit.view import HIP_VIEW, View, spacing_of

KNOTS = velocity_knots(HIP_VIEW)
BOX = torch.from_numpy(HIP_VIEW.positions_mm).float()[None]


def _random(size_mm: float, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return velocity(size_mm * torch.randn(2, 3, *KNOTS, generator=generator))


def test_no_velocity_is_the_identity_exactly() -> None:
    flow = Flow.of(velocity(torch.zeros(1, 3, *KNOTS)))
    assert (flow(BOX) == 0.0).all()
    assert (flow.determinants() == 1.0).all()


def test_knots_span_the_views_box() -> None:
    assert all(reach_mm(KNOTS) - 40.0 >= HIP_VIEW.half_extent_mm)


def test_an_even_velocity_shifts_the_middle_by_itself() -> None:
    flow = Flow.of(velocity(torch.full((1, 3, *KNOTS), 4.0)))
    middle = flow(torch.zeros(1, 1, 1, 1, 3))
    torch.testing.assert_close(middle, torch.full((1, 1, 1, 1, 3), 4.0), rtol=0, atol=1e-3)


def test_nothing_moves_at_the_end_of_the_reach_or_beyond() -> None:
    flow = Flow.of(_random(5.0))
    superior, anterior, medial = torch.from_numpy(reach_mm(KNOTS)).float()
    for far in ((superior, 0.0, 0.0), (0.0, -anterior, 0.0), (0.0, 0.0, medial + 30.0)):
        position = torch.tensor(far).reshape(1, 1, 1, 1, 3)
        torch.testing.assert_close(flow(position), torch.zeros(2, 1, 1, 1, 3))


@pytest.mark.parametrize(("size_mm", "tolerance_mm"), [(3.0, 0.15), (6.0, 0.6)])
def test_the_flow_of_the_negative_velocity_is_the_inverse(
    size_mm: float, tolerance_mm: float
) -> None:
    field = _random(size_mm)
    there, back = Flow.of(field), Flow.of(-field)
    moved = BOX + there(BOX)
    error = (moved + back(moved) - BOX).norm(dim=-1)
    assert there(BOX).norm(dim=-1).max() > size_mm
    assert error.max() < tolerance_mm
    assert error.mean() < tolerance_mm / 5


def test_a_fold_is_impossible_even_for_a_large_velocity() -> None:
    assert Flow.of(_random(12.0)).determinants().min() > 0.0


def test_the_determinant_is_the_growth_of_a_volume() -> None:
    knots = velocity_knots(View((36, 28, 36), spacing_of(3.0)))
    field = velocity(torch.zeros(1, 3, *knots))
    positions = grid_positions_mm(field)
    # A velocity of a x grows every axis by exp(a).
    flow = Flow.of(0.1 * positions.movedim(-1, 1))
    d, h, w = (n // 2 for n in flow.determinants().shape[1:])
    growth = flow.determinants()[0, d, h, w]
    torch.testing.assert_close(growth, torch.tensor(0.3).exp(), rtol=2e-2, atol=0)
