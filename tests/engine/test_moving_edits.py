from dataclasses import replace

import pytest
import torch

from qctkit.cohort import Sample
from qctkit.contracts import Edit, Scene
from qctkit.engine.edits.morph import Morph
from qctkit.engine.edits.soft_tissue import FAT_HU, LEAN_HU, SoftTissue
from qctkit.engine.framing import reframed
from qctkit.engine.render import render
from qctkit.engine.scenes import view_scene
from qctkit.frame import FemurFrame, locate
from qctkit.predictors.training import as_tensor
from qctkit.view import View, see, spacing_of

VIEW = View((36, 30, 30), spacing_of(3.0))
moving = pytest.mark.parametrize("edit", [Morph(), SoftTissue()], ids=lambda one: one.name)


@pytest.fixture(scope="module")
def scene(sample: Sample, frame: FemurFrame) -> Scene:
    return view_scene(as_tensor(see(sample.volume, sample.femur, frame, VIEW))[None], VIEW)


def _even(edit: Edit, name: str, value: float) -> dict[str, torch.Tensor]:
    zero = edit.start(1, VIEW)
    return zero | {name: zero[name] + value}


def _random(edit: Edit, name: str, spread: float, view: View = VIEW) -> dict[str, torch.Tensor]:
    zero = edit.start(1, view)
    generator = torch.Generator().manual_seed(0)
    return zero | {name: spread * torch.randn(zero[name].shape, generator=generator)}


def _centre(weights: torch.Tensor, scene: Scene) -> torch.Tensor:
    mass = weights[0, ..., None]
    return (mass * scene.positions_mm[0]).sum(dim=(0, 1, 2)) / mass.sum()


def test_the_bone_moves_with_the_velocity(scene: Scene) -> None:
    parameters = Morph().start(1, VIEW)
    parameters["velocity_mm"][:, 2] = 6.0  # medial
    after = Morph().apply(scene, parameters)
    shift = _centre(after.femur, scene) - _centre(scene.femur, scene)
    torch.testing.assert_close(shift, torch.tensor([0.0, 0.0, 6.0]), rtol=0, atol=0.8)


def test_hu_femur_and_depth_move_together(scene: Scene) -> None:
    after = Morph().apply(scene, _random(Morph(), "velocity_mm", 4.0))
    inside = after.depth_mm > 3.0
    assert (after.femur[inside] > 0.5).all()
    assert (after.femur[after.depth_mm < -3.0] < 0.5).all()
    assert (after.hu[inside] > 120.0).float().mean() > 0.99


@moving
def test_the_gradient_reaches_every_parameter(edit: Edit, scene: Scene) -> None:
    parameters = {n: v.requires_grad_() for n, v in edit.start(1, VIEW).items()}
    loss = (edit.apply(scene, parameters).hu * torch.linspace(0, 1, 30)).square().mean()
    for gradient in torch.autograd.grad(loss, list(parameters.values())):
        assert gradient.isfinite().all()
        assert gradient.abs().max() > 0.0


@moving
def test_the_gradient_is_that_of_finite_differences(edit: Edit) -> None:
    view = View((6, 5, 5), spacing_of(8.0))
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(1, 2, *view.shape, generator=generator, dtype=torch.float64)
    images[:, 0] = 150.0 * images[:, 0] - 100.0
    images[:, 1] = (images[:, 1] > 0.9).double()
    scene = view_scene(images, view)
    # Away from zero: trilinear interpolation has a kink where voxels meet.
    parameters = {
        name: torch.rand(v.shape, generator=generator, dtype=torch.float64) + 0.5
        for name, v in edit.start(1, view).items()
    }
    direction = {n: torch.randn_like(v, dtype=torch.float64) for n, v in parameters.items()}

    def along(step: torch.Tensor) -> torch.Tensor:
        moved = {name: v + step * direction[name] for name, v in parameters.items()}
        return edit.apply(scene, moved).hu.square().mean().sqrt()

    step = torch.zeros((), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(along, (step,), eps=1e-6, atol=1e-5)


@moving
def test_the_same_parameters_move_a_coarse_and_a_fine_grid_alike(
    edit: Edit, sample: Sample, frame: FemurFrame
) -> None:
    coarse = View((19, 16, 16), spacing_of(6.0))
    fine = View((37, 31, 31), spacing_of(3.0))  # one box
    moved = []
    for view in (coarse, fine):
        image = as_tensor(see(sample.volume, sample.femur, frame, view))[None]
        scene = view_scene(image, view)
        slope = replace(scene, hu=10.0 * scene.positions_mm[..., 2])
        parameters = _random(edit, "velocity_mm", 4.0, view)
        moved.append(edit.apply(slope, parameters).hu - slope.hu)
    assert moved[0].abs().max() > 30.0
    difference = moved[0] - moved[1][:, ::2, ::2, ::2]
    assert difference.abs().mean() < 0.1 * moved[0].abs().mean()


def test_soft_tissue_leaves_the_femur_as_it_is(scene: Scene) -> None:
    parameters = _random(SoftTissue(), "velocity_mm", 8.0)
    parameters["fat_log_odds"] += 1.0
    after = SoftTissue().apply(scene, parameters)
    assert torch.equal(after.femur, scene.femur)
    assert torch.equal(after.depth_mm, scene.depth_mm)
    assert torch.equal(after.hu[scene.depth_mm > 0.0], scene.hu[scene.depth_mm > 0.0])


def test_more_fat_darkens_what_is_part_fat_and_nothing_else(scene: Scene) -> None:
    hu = torch.full_like(scene.hu, (LEAN_HU + FAT_HU) / 2)
    hu[..., :6] = LEAN_HU
    hu[..., -6:] = FAT_HU
    mixed = replace(scene, hu=hu, depth_mm=torch.full_like(hu, -30.0))
    change = SoftTissue().apply(mixed, _even(SoftTissue(), "fat_log_odds", 1.0)).hu - hu
    assert (change[..., :6] == 0.0).all()
    assert (change[..., -6:] == 0.0).all()
    share = torch.tensor(1.0).exp() / (1.0 + torch.tensor(1.0).exp())
    expected = (share - 0.5) * (FAT_HU - LEAN_HU)
    torch.testing.assert_close(change[..., 6:-6], torch.full_like(change[..., 6:-6], expected))


def test_the_determinant_is_on_record(scene: Scene) -> None:
    for edit in (Morph(), SoftTissue()):
        (figures,) = edit.figures(scene, _random(edit, "velocity_mm", 4.0))
        assert 0.0 < figures["least_determinant"] < 1.0 < figures["greatest_determinant"]
        assert 4.0 < figures["largest_displacement_mm"] < 25.0


def test_results_repeat_to_the_last_bit(scene: Scene) -> None:
    parameters = _random(Morph(), "velocity_mm", 4.0)
    first, again = (Morph().apply(scene, parameters).hu for _ in range(2))
    assert torch.equal(first, again)


def test_a_femur_that_did_not_move_is_seen_as_before(scene: Scene) -> None:
    assert torch.equal(reframed(scene, scene).hu, scene.hu)


def test_a_femur_is_seen_about_its_own_centre_wherever_it_moved(scene: Scene) -> None:
    parameters = Morph().start(1, VIEW)
    parameters["velocity_mm"][:, 2] = 6.0
    after = Morph().apply(scene, parameters)
    shown = reframed(scene, after)
    inside = scene.femur > 0.9
    moved = (after.femur - scene.femur)[inside].abs().mean()
    assert (shown.femur - scene.femur)[inside].abs().mean() < 0.4 * moved


def test_what_the_loop_sees_is_what_is_seen_of_the_rendered_scan(
    sample: Sample, frame: FemurFrame, scene: Scene
) -> None:
    parameters = _random(Morph(), "velocity_mm", 4.0)
    in_loop = reframed(scene, Morph().apply(scene, parameters))
    region = Morph().region(sample, frame, VIEW)
    one = {name: values[0] for name, values in parameters.items()}
    made = render(sample, Morph(), one, region, frame, VIEW)
    own_frame = locate(made.femur, made.volume.geometry)
    seen = as_tensor(see(made.volume, made.femur, own_frame, VIEW))
    inner = (slice(6, -6),) * 3  # the view's border lies outside this small scan
    unmoved = torch.stack([scene.hu[0], scene.femur[0]])
    looped = torch.stack([in_loop.hu[0], in_loop.femur[0]])
    for channel in (0, 1):
        apart = (looped[channel] - seen[channel])[inner].abs().mean()
        moved = (unmoved[channel] - seen[channel])[inner].abs().mean()
        assert apart < 0.7 * moved
