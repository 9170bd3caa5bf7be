"""Preservation and attribute terms, beside what holds of each (tests/testing/test_built_ins.py)."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from qctkit.contracts import Change, Edit, Gap, Scene
from qctkit.engine.chi_square import usual_square
from qctkit.engine.edits.density_field import DensityField
from qctkit.engine.edits.morph import Morph
from qctkit.engine.edits.voxel import Voxel
from qctkit.engine.losses.attributes import ClassMargin, SquaredError, UncertaintyWeighted
from qctkit.engine.losses.cortical_shell import CorticalShell
from qctkit.engine.losses.mahalanobis import Mahalanobis
from qctkit.engine.losses.noise_spectrum import NoiseSpectrum
from qctkit.engine.losses.preservation import Bending, Size, Smoothness, TotalVariation
from qctkit.engine.losses.similarity import GradientSimilarity, StructureSimilarity
from qctkit.testing.scenes import BATCH, VIEW, make_scene

VOXELS = (BATCH, *VIEW.shape)


def _shown(scene: Scene, hu: Tensor) -> Change:
    """Return the change to other HU, whoever made it."""
    return Change(Voxel(), scene, replace(scene, hu=hu), {})


def _noise(seed: int = 0) -> Tensor:
    return torch.randn(VOXELS, generator=torch.Generator().manual_seed(seed))


def _made(edit: Edit, parameters: dict[str, Tensor]) -> Change:
    scene = make_scene()
    return Change(edit, scene, edit.apply(scene, parameters), parameters)


def test_structure_similarity_is_that_of_its_definition() -> None:
    scene = make_scene()
    flat = replace(scene, hu=torch.zeros(VOXELS), femur=torch.ones(VOXELS))
    # Of two flat images only the means differ: 2 m m' + C1 over m^2 + m'^2 + C1, above air.
    before, after, constant = 1000.0, 1300.0, (0.01 * 2600.0) ** 2
    expected = (2 * before * after + constant) / (before**2 + after**2 + constant)
    cost = StructureSimilarity()(_shown(flat, torch.full(VOXELS, 300.0)))
    np.testing.assert_allclose(cost, 1.0 - expected, rtol=1e-3)


def test_an_image_against_its_negative_is_less_like_than_against_nothing() -> None:
    scene = make_scene()
    mean = scene.hu.mean()
    cost = StructureSimilarity()
    negative = cost(_shown(scene, 2.0 * mean - scene.hu))
    nothing = cost(_shown(scene, mean.expand(VOXELS)))
    assert (nothing > 0.2).all()
    assert (negative > nothing).all()


@pytest.mark.parametrize("term", [StructureSimilarity(), GradientSimilarity()])
def test_a_pattern_costs_more_than_a_shift_of_the_same_size(
    term: StructureSimilarity | GradientSimilarity,
) -> None:
    scene = make_scene()
    pattern = term(_shown(scene, scene.hu + 80.0 * _noise().sign()))
    shift = term(_shown(scene, scene.hu + 80.0))
    assert (pattern > 3.0 * shift).all()


def test_slopes_do_not_see_a_shift() -> None:
    scene = make_scene()
    assert GradientSimilarity()(_shown(scene, scene.hu + 80.0)).max() < 1e-6


def test_what_happens_outside_the_femur_is_not_its_structure() -> None:
    scene = make_scene()
    far = scene.depth_mm < -30.0
    assert far.any()
    changed = torch.where(far, scene.hu + 300.0 * _noise(), scene.hu)
    assert GradientSimilarity()(_shown(scene, changed)).max() == 0.0


def test_a_shell_that_fades_by_its_spread_costs_one_and_marrow_nothing() -> None:
    scene = make_scene()
    shell = scene.femur * (scene.depth_mm < 6.0) > 0.0
    faded = torch.where(shell, 0.85 * scene.hu, scene.hu)
    np.testing.assert_allclose(CorticalShell()(_shown(scene, faded)), 1.0, atol=0.1)
    marrow = torch.where(scene.depth_mm > 9.0, 0.5 * scene.hu, scene.hu)
    assert (marrow != scene.hu).any()
    assert CorticalShell()(_shown(scene, marrow)).max() < 1e-6


def test_a_shell_that_moves_with_its_bone_costs_less_than_one_that_fades() -> None:
    velocity = Morph().start(BATCH, VIEW)["velocity_mm"]
    velocity[:, 2] = 3.0
    moved = CorticalShell()(_made(Morph(), {"velocity_mm": velocity}))
    scene = make_scene()
    faded = CorticalShell()(_shown(scene, torch.where(scene.femur > 0, 0.7 * scene.hu, scene.hu)))
    assert (moved < 0.25 * faded).all()


def test_a_hidden_pattern_changes_the_spectrum_and_a_smooth_change_does_not() -> None:
    scene = make_scene()
    pattern = NoiseSpectrum()(_shown(scene, scene.hu + 10.0 * _noise()))
    smooth = NoiseSpectrum()(_shown(scene, scene.hu + 0.2 * scene.positions_mm[..., 0]))
    assert (pattern > 20.0 * smooth).all()


def test_texture_that_is_wiped_away_costs_as_well_as_one_that_is_added() -> None:
    scene = make_scene()
    grainy = replace(scene, hu=20.0 * _noise())
    halved, doubled = (NoiseSpectrum()(_shown(grainy, by * grainy.hu)) for by in (0.5, 2.0))
    np.testing.assert_allclose(halved, doubled, rtol=0.3)
    assert halved.min() > 100.0


def test_a_draw_from_the_prior_stays_in_its_bound_nineteen_times_of_twenty() -> None:
    edit = DensityField()
    zero = edit.start(400, VIEW)["shift_hu"]
    count = zero[0].numel()
    drawn = torch.randn(zero.shape, generator=torch.Generator().manual_seed(0))
    for axis in (1, 2, 3):
        # Neighbours correlated by 0.5 along each axis, as the prior has it.
        line = torch.arange(zero.shape[axis], dtype=torch.float32)
        correlation = 0.5 ** (line[:, None] - line).abs()
        root = torch.linalg.cholesky(correlation)
        drawn = torch.tensordot(drawn, root, dims=([axis], [1])).movedim(-1, axis)
    scene = replace(make_scene(), hu=torch.zeros(400, 1, 1, 1))
    people = {"shift_hu": 40.0 * drawn}
    cost = Mahalanobis()(Change(edit, scene, scene, people))
    mean = usual_square(count) * float(cost.mean())
    assert mean == pytest.approx(count, rel=0.05)
    assert float((cost <= 1.0).float().mean()) == pytest.approx(0.95, abs=0.03)


def test_a_smooth_change_is_more_usual_than_noise_of_the_same_size() -> None:
    zero = DensityField().start(BATCH, VIEW)
    signs = torch.randn(zero["shift_hu"].shape, generator=torch.Generator().manual_seed(0)).sign()
    even, rough = ({**zero, "shift_hu": 40.0 * one} for one in (torch.ones_like(signs), signs))
    assert (
        Mahalanobis()(_made(DensityField(), even)) < Mahalanobis()(_made(DensityField(), rough))
    ).all()


@pytest.mark.parametrize("term", [Size(), Smoothness(), Bending(), Mahalanobis()])
def test_where_no_parameter_is_free_a_prior_costs_nothing(
    term: Size | Smoothness | Bending | Mahalanobis,
) -> None:
    scene = make_scene()
    assert torch.equal(term(_shown(scene, scene.hu)), torch.zeros(BATCH))


def test_coefficients_without_neighbours_are_neither_rough_nor_bent() -> None:
    class Single(DensityField):
        pass

    scene = make_scene()
    change = Change(Single(), scene, scene, {"shift_hu": torch.full((BATCH, 5, 1, 1, 1), 40.0)})
    assert torch.equal(Smoothness()(change), torch.zeros(BATCH))
    assert torch.equal(Bending()(change), torch.zeros(BATCH))
    quantile = usual_square(5)
    np.testing.assert_allclose(Mahalanobis()(change), 5.0 / quantile, rtol=1e-5)


def test_usual_squares_are_those_of_the_tables() -> None:
    assert usual_square(1) == pytest.approx(3.841, abs=1e-3)
    assert usual_square(10) == pytest.approx(18.307, abs=1e-3)


def _gap(errors: list[float], side: float) -> Gap:
    read = torch.tensor(errors)[:, None]
    return Gap(read, torch.zeros_like(read), torch.ones(1), torch.full_like(read, side))


def test_a_class_read_more_surely_than_wanted_costs_nothing_by_its_margin_alone() -> None:
    surer = _gap([2.0], side=1.0)
    assert ClassMargin()(surer).item() == 0.0
    assert ClassMargin()(_gap([-2.0], side=-1.0)).item() == 0.0
    assert ClassMargin()(_gap([-2.0], side=1.0)).item() == 4.0
    assert SquaredError()(surer).item() == 4.0
    # An amount has no side: too much is as wrong as too little.
    assert ClassMargin()(_gap([2.0], side=0.0)).item() == 4.0


def test_learned_uncertainty_is_the_best_of_all_at_least_the_typical_error() -> None:
    errors = [0.3, 0.9, 1.5, 6.0]
    scales = torch.linspace(1.0, 10.0, 9001).double()
    for error in errors:
        searched = (error**2 / scales.square() + scales.square().log()).min().item()
        found = UncertaintyWeighted()(_gap([error], 0.0)).item()
        assert found == pytest.approx(searched, abs=1e-4)


def test_an_attribute_out_of_reach_pulls_less_than_by_its_square() -> None:
    pulls = []
    for term in (SquaredError(), UncertaintyWeighted()):
        gap = _gap([10.0], 0.0)
        read = gap.read.requires_grad_()
        (pull,) = torch.autograd.grad(term(gap).sum(), [read])
        pulls.append(pull.item())
    assert pulls == pytest.approx([20.0, 0.2])


def test_total_variation_and_its_gradient_are_those_of_its_definition() -> None:
    scene = make_scene()
    hu = (scene.hu + 40.0 * _noise()).double().requires_grad_()
    weight = torch.arange(1.0, BATCH + 1.0, dtype=torch.float64)
    found = TotalVariation()(_shown(scene, hu))
    added = hu - scene.hu
    lengths = [(added.diff(dim=axis).square() + 1.0).sqrt() - 1.0 for axis in (1, 2, 3)]
    expected = sum(one.flatten(1).mean(dim=1) for one in lengths) / 100.0
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0.0)
    slopes = [torch.autograd.grad((weight * one).sum(), hu)[0] for one in (found, expected)]
    torch.testing.assert_close(*slopes, rtol=1e-12, atol=1e-18)
