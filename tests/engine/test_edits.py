from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from qctkit.cohort import Sample, Side
from qctkit.contracts import Change, Edit, LossTerm, Scene
from qctkit.engine.edits.cohort_change import CohortDensity, CohortShape, cohort_tissue
from qctkit.engine.edits.density_field import DensityField
from qctkit.engine.edits.morph import Morph
from qctkit.engine.edits.soft_tissue import SoftTissue
from qctkit.engine.edits.voxel import Voxel
from qctkit.engine.fields import field_at
from qctkit.engine.losses.preservation import Bending, Size, Smoothness, TotalVariation
from qctkit.engine.render import render
from qctkit.engine.scenes import view_scene
from qctkit.frame import FemurFrame, locate
from qctkit.predictors.training import as_tensor
from qctkit.view import View, see, spacing_of

EDITS: list[Edit] = [
    DensityField(),
    Voxel(),
    Morph(),
    SoftTissue(),
    CohortDensity(),
    cohort_tissue(),
    CohortShape(),
]
TERMS: list[LossTerm] = [Size(), Smoothness(), Bending(), TotalVariation()]
edits = pytest.mark.parametrize("edit", EDITS, ids=lambda one: one.name)
terms = pytest.mark.parametrize("term", TERMS, ids=lambda one: one.name)


@pytest.fixture(scope="module")
def scene(people: tuple[Sample, ...], small_view: View) -> Scene:
    images = []
    for one in people[:3]:
        frame = locate(one.femur, one.volume.geometry)
        images.append(as_tensor(see(one.volume, one.femur, frame, small_view)))
    return view_scene(torch.stack(images), small_view)


def _random(edit: Edit, view: View, batch: int, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    sizes = {name: 5.0 * step or edit.spreads[name] / 2 for name, step in edit.step_sizes.items()}
    return {
        name: sizes[name] * torch.randn(zeros.shape, generator=generator)
        for name, zeros in edit.start(batch, view).items()
    }


@edits
def test_parameters_at_zero_are_the_identity(edit: Edit, scene: Scene, small_view: View) -> None:
    after = edit.apply(scene, edit.start(3, small_view))
    assert torch.equal(after.hu, scene.hu)
    assert torch.equal(after.femur, scene.femur)


@edits
def test_rendering_zero_gives_the_source(
    edit: Edit, sample: Sample, frame: FemurFrame, small_view: View
) -> None:
    zero = {name: values[0] for name, values in edit.start(1, small_view).items()}
    region = edit.region(sample, frame, small_view)
    made = render(sample, edit, zero, region, frame, small_view)
    np.testing.assert_array_equal(made.volume.voxels, sample.volume.voxels)
    np.testing.assert_array_equal(made.femur.voxels, sample.femur.voxels)


@edits
@pytest.mark.parametrize("offset", [0.0, 0.25])
def test_rendering_changes_the_region_alone_and_keeps_the_dtype(
    edit: Edit, sample: Sample, frame: FemurFrame, small_view: View, offset: float
) -> None:
    volume = sample.volume.with_voxels(sample.volume.voxels + np.float32(offset))
    source = replace(sample, volume=volume)
    region = edit.region(source, frame, small_view)
    one = {name: values[0] for name, values in _random(edit, small_view, 1).items()}
    made = render(source, edit, one, region, frame, small_view).volume
    changed = made.voxels != volume.voxels
    assert changed[region].mean() > 0.2
    assert not changed[~region].any()
    assert made.voxels.dtype == volume.voxels.dtype
    assert made.geometry.matches(volume.geometry)


def test_the_density_region_is_the_femur_grown_by_two_millimetres(
    sample: Sample, frame: FemurFrame, small_view: View
) -> None:
    region = DensityField().region(sample, frame, small_view)
    np.testing.assert_array_equal(region, sample.femur.voxels)  # 3 mm voxels: the next is too far


def test_a_density_change_leaves_what_is_no_femur(scene: Scene, small_view: View) -> None:
    after = DensityField().apply(scene, _random(DensityField(), small_view, 3))
    change = after.hu - scene.hu
    assert (change[scene.femur == 0.0] == 0.0).all()
    assert change.abs().max() > 10.0


def test_a_constant_factor_scales_density_by_it(scene: Scene, small_view: View) -> None:
    zero = DensityField().start(3, small_view)
    after = DensityField().apply(scene, zero | {"log_factor": zero["log_factor"] + 0.2})
    change = after.hu - scene.hu
    expected = scene.femur * scene.hu.clamp(min=0.0) * (np.exp(0.2) - 1.0)
    torch.testing.assert_close(change, expected, rtol=1e-4, atol=1e-2)


@edits
def test_each_sample_of_a_batch_has_its_own_change(
    edit: Edit, scene: Scene, small_view: View
) -> None:
    parameters = _random(edit, small_view, 3)
    batch = edit.apply(scene, parameters).hu
    for row in range(3):
        rows = torch.tensor([row])
        alone = edit.apply(scene.take(rows), {n: v[rows] for n, v in parameters.items()})
        torch.testing.assert_close(alone.hu[0], batch[row])


@edits
def test_only_parameters_within_limits_are_allowed(
    edit: Edit, scene: Scene, small_view: View
) -> None:
    for name in edit.units:
        parameters = edit.start(3, small_view)
        parameters[name][1] += 1e6
        assert edit.within_limits(scene, parameters).tolist() == [True, False, True]


BOX = View((3, 3, 3), spacing_of(10.0))


def test_a_field_at_a_point_does_not_depend_on_the_other_points() -> None:
    values = torch.randn(1, 5, 4, 4, generator=torch.Generator().manual_seed(0))
    points = torch.rand(1, 1, 1, 50, 3, generator=torch.Generator().manual_seed(1)) * 20 - 10
    singly = [field_at(values, points[..., [i], :], BOX) for i in range(50)]
    torch.testing.assert_close(torch.cat(singly, dim=-1), field_at(values, points, BOX))


def test_a_field_has_its_knots_values_at_its_knots() -> None:
    values = torch.randn(1, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    points = torch.from_numpy(BOX.positions_mm).float()[None]
    torch.testing.assert_close(field_at(values, points, BOX), values)


@pytest.mark.parametrize("side", Side)
def test_voxels_land_where_the_view_had_them_though_the_grids_have_one_shape(
    make: Callable[..., Sample], side: Side
) -> None:
    source = make(side=side)
    shape = source.volume.voxels.shape
    view = View(shape, spacing_of(3.0))
    centre = source.volume.geometry.to_world((np.array(shape) - 1) / 2)
    frame = FemurFrame(tuple(centre), side)
    change = torch.zeros(shape)
    change[:, :, -1] = 500.0  # the medial edge
    made = render(source, Voxel(), {"change_hu": change}, np.ones(shape, bool), frame, view).volume
    medial = -1 if side is Side.LEFT else 0
    difference = made.voxels.astype(int) - source.volume.voxels
    assert (difference[:, :, medial] == 500).mean() > 0.8
    assert (difference[:, :, -1 - medial] == 0).all()


@edits
@terms
def test_a_term_costs_nothing_at_the_identity_with_a_finite_gradient(
    edit: Edit, term: LossTerm, scene: Scene, small_view: View
) -> None:
    parameters = {n: v.requires_grad_() for n, v in edit.start(3, small_view).items()}
    cost = term(Change(edit, scene, edit.apply(scene, parameters), parameters))
    assert cost.shape == (3,)
    assert (cost == 0.0).all()
    gradients = torch.autograd.grad(cost.sum(), list(parameters.values()), allow_unused=True)
    assert all(one is None or one.isfinite().all() for one in gradients)


@edits
@terms
def test_a_term_is_positive_for_a_change_and_knows_only_its_own_sample(
    edit: Edit, term: LossTerm, scene: Scene, small_view: View
) -> None:
    parameters = _random(edit, small_view, 3)
    for values in parameters.values():
        values[1] = 0.0
    cost = term(Change(edit, scene, edit.apply(scene, parameters), parameters))
    assert cost[1] == 0.0
    assert (cost[[0, 2]] > 0.0).all()


def test_a_shear_bends_nothing_and_a_wave_does(scene: Scene, small_view: View) -> None:
    edit = Morph()
    zero = edit.start(3, small_view)["velocity_mm"]
    across = torch.arange(zero.shape[-1], dtype=torch.float32)
    shear = {"velocity_mm": zero + across}
    wave = {"velocity_mm": zero + torch.sin(2.0 * across)}
    after = edit.apply(scene, shear)
    assert Bending()(Change(edit, scene, after, shear)).max() < 1e-10
    assert Bending()(Change(edit, scene, after, wave)).min() > 0.01
