"""Edits that an atlas starts, beside what holds of every edit (test_edits.py)."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from qctkit.cohort import Sample, Side
from qctkit.contracts import Scene
from qctkit.engine.atlas import Start
from qctkit.engine.edits.cohort_change import (
    CohortDensity,
    CohortShape,
    cohort_tissue,
)
from qctkit.engine.edits.composition import compose, from_atlas
from qctkit.engine.edits.density_field import DensityField
from qctkit.engine.edits.voxel import Voxel
from qctkit.engine.regions import grown_femur
from qctkit.engine.registration import displacement_mm, knots, sampled
from qctkit.engine.render import render
from qctkit.engine.scenes import view_scene
from qctkit.frame import FemurFrame, locate
from qctkit.predictors.training import as_tensor
from qctkit.view import View, see, spacing_of
from tests.conftest import make_sample

VIEW = View((20, 16, 16), spacing_of(6.0))
FINE = View((39, 31, 31), spacing_of(3.0))
"""The same box."""


def _scene(sample: Sample, frame: FemurFrame, view: View) -> Scene:
    return view_scene(as_tensor(see(sample.volume, sample.femur, frame, view))[None], view)


def _wave(shape: tuple[int, ...]) -> Tensor:
    """Return a smooth field that spans the box whatever the grid."""
    axes = [torch.linspace(-1.0, 1.0, n) for n in shape]
    superior, anterior, medial = torch.meshgrid(*axes, indexing="ij")
    return torch.cos(2.0 * superior + 1.0) * torch.cos(2.0 * anterior) * torch.cos(1.5 * medial)


@pytest.mark.parametrize("edit", [CohortDensity(), cohort_tissue()], ids=lambda one: one.name)
def test_the_same_density_changes_a_coarse_and_a_fine_view_alike(
    edit: CohortDensity, sample: Sample, frame: FemurFrame
) -> None:
    changes = []
    for view in (VIEW, FINE):
        scene = _scene(sample, frame, view)
        wave = {"added_hu": 80.0 * _wave(view.shape)[None]}
        changes.append(edit.apply(scene, wave).hu - scene.hu)
    coarse, fine = changes[0], changes[1][:, ::2, ::2, ::2]
    deep = _scene(sample, frame, VIEW).depth_mm > 6.0
    torch.testing.assert_close(coarse[deep], fine[deep], rtol=0.02, atol=0.5)


def test_the_same_shape_moves_a_coarse_and_a_fine_view_alike(
    sample: Sample, frame: FemurFrame
) -> None:
    velocity = {"velocity_mm": 4.0 * _wave(knots(VIEW)).expand(1, 3, *knots(VIEW))}
    moved = []
    for view in (VIEW, FINE):
        scene = _scene(sample, frame, view)
        slope = replace(scene, hu=10.0 * scene.positions_mm[..., 2])
        moved.append(CohortShape().apply(slope, velocity).hu - slope.hu)
    coarse, fine = moved[0], moved[1][:, ::2, ::2, ::2]
    assert coarse.abs().max() > 20.0
    assert (coarse - fine).abs().mean() < 0.05 * coarse.abs().mean()


def test_tissue_moves_as_the_registrations_flow_says(sample: Sample, frame: FemurFrame) -> None:
    scene = _scene(sample, frame, FINE)
    velocity_mm = 4.0 * _wave(knots(FINE)).expand(1, 3, *knots(FINE))
    edited = CohortShape().apply(scene, {"velocity_mm": velocity_mm}).femur
    registered = sampled(scene.femur[:, None], displacement_mm(-velocity_mm, FINE), FINE)[:, 0]
    assert (edited - registered).abs().mean() < 0.1 * (edited - scene.femur).abs().mean()


@pytest.mark.parametrize("side", Side)
def test_medial_is_towards_the_other_leg_on_both_sides(side: Side) -> None:
    source = make_sample(side=side)
    frame = locate(source.femur, source.volume.geometry)
    velocity_mm = torch.zeros(3, *knots(VIEW))
    velocity_mm[2] = 6.0
    region = CohortShape().region(source, frame, VIEW)
    made = render(source, CohortShape(), {"velocity_mm": velocity_mm}, region, frame, VIEW)
    before, after = (one.voxels.nonzero()[2].mean() for one in (source.femur, made.femur))
    towards = 1.0 if side is Side.LEFT else -1.0
    assert towards * (after - before) * 3.0 == pytest.approx(6.0, abs=1.5)


def test_density_leaves_the_mask_and_all_beyond_two_millimetres(
    sample: Sample, frame: FemurFrame
) -> None:
    edit = CohortDensity()
    region = edit.region(sample, frame, VIEW)
    made = render(sample, edit, {"added_hu": torch.full(VIEW.shape, 100.0)}, region, frame, VIEW)
    np.testing.assert_array_equal(made.femur.voxels, sample.femur.voxels)
    changed = made.volume.voxels != sample.volume.voxels
    assert changed[sample.femur.voxels].mean() > 0.9
    assert not changed[~grown_femur(sample, 2.0)].any()


def test_tissue_changes_all_that_is_seen(sample: Sample, frame: FemurFrame) -> None:
    scene = _scene(sample, frame, VIEW)
    scene = replace(scene, hu=scene.hu.clamp(min=-100.0))
    after = cohort_tissue().apply(scene, {"added_hu": torch.full((1, *VIEW.shape), 30.0)})
    torch.testing.assert_close(after.hu, scene.hu + 30.0)


def test_air_stays_and_a_voxel_half_in_air_changes_by_half(
    sample: Sample, frame: FemurFrame
) -> None:
    scene = _scene(sample, frame, VIEW)
    scene = replace(scene, hu=torch.full_like(scene.hu, -1000.0))
    scene.hu[..., 8:] = -555.0
    after = cohort_tissue().apply(scene, {"added_hu": torch.full((1, *VIEW.shape), -80.0)})
    assert torch.equal(after.hu[..., :8], scene.hu[..., :8])
    torch.testing.assert_close(after.hu[..., 8:], scene.hu[..., 8:] - 40.0)


def test_noise_in_marrow_is_not_cut_off(sample: Sample, frame: FemurFrame) -> None:
    scene = _scene(sample, frame, VIEW)
    noise = 20.0 * torch.randn(scene.hu.shape, generator=torch.Generator().manual_seed(0))
    noisy = replace(scene, hu=noise - 90.0)
    changed = CohortDensity().apply(noisy, {"added_hu": torch.full((1, *VIEW.shape), -20.0)})
    deep = scene.depth_mm > 6.0
    torch.testing.assert_close(changed.hu[deep], noisy.hu[deep] - 20.0)


def test_a_change_beyond_bone_and_marrow_is_not_allowed(sample: Sample, frame: FemurFrame) -> None:
    scene = _scene(sample, frame, VIEW)
    for hu, allowed in ((-850.0, True), (950.0, False)):
        parameters = {"added_hu": torch.full((1, *VIEW.shape), hu)}
        assert CohortDensity().within_limits(scene, parameters).tolist() == [allowed]
        assert CohortDensity().figures(scene, parameters) == [{"largest_added_hu": abs(hu)}]


def test_the_atlas_starts_those_edits_that_it_can_under_their_composed_names() -> None:
    start = Start(VIEW, torch.ones(2, 3, *knots(VIEW)), torch.full((2, *VIEW.shape), 5.0))
    edit = compose([cohort_tissue(), DensityField(), Voxel(), CohortShape()])
    found = from_atlas(edit, start)
    assert set(found) == {"cohort-tissue.added_hu", "cohort-shape.velocity_mm"}
    assert found.keys() <= edit.start(2, VIEW).keys()
    assert torch.equal(found["cohort-tissue.added_hu"], start.added_hu)
    assert torch.equal(found["cohort-shape.velocity_mm"], start.velocity_mm)


def test_an_edit_alone_is_started_under_its_own_names() -> None:
    start = Start(VIEW, torch.ones(1, 3, *knots(VIEW)), torch.zeros(1, *VIEW.shape))
    assert torch.equal(from_atlas(CohortShape(), start)["velocity_mm"], start.velocity_mm)
    assert from_atlas(DensityField(), start) == {}


def test_density_is_added_before_the_tissue_moves(sample: Sample, frame: FemurFrame) -> None:
    scene = _scene(sample, frame, VIEW)
    start = Start(
        VIEW, 4.0 * _wave(knots(VIEW)).expand(1, 3, *knots(VIEW)), 80.0 * _wave(VIEW.shape)[None]
    )
    edit = compose([CohortDensity(), CohortShape()])
    parameters = edit.start(1, VIEW) | from_atlas(edit, start)
    denser = CohortDensity().apply(scene, {"added_hu": start.added_hu})
    moved = CohortShape().apply(denser, {"velocity_mm": start.velocity_mm})
    assert torch.equal(edit.apply(scene, parameters).hu, moved.hu)


def test_a_velocity_that_would_fold_is_smoothed_until_it_does_not_and_others_stay(
    sample: Sample, frame: FemurFrame
) -> None:
    scene = _scene(sample, frame, VIEW)
    gentle = 4.0 * _wave(knots(VIEW)).expand(1, 3, *knots(VIEW))
    rough = torch.zeros_like(gentle)
    rough[..., ::2, :, :] = 60.0
    both = {"velocity_mm": torch.cat([gentle, rough])}
    assert CohortShape().within_limits(scene, both).tolist() == [True, False]
    calm = CohortShape().from_atlas(Start(VIEW, both["velocity_mm"], torch.zeros(2, *VIEW.shape)))
    assert CohortShape().within_limits(scene, calm).tolist() == [True, True]
    assert torch.equal(calm["velocity_mm"][0], gentle[0])
    assert calm["velocity_mm"][1].abs().mean() > 20.0
