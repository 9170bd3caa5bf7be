import pytest
import torch

from qctkit.cohort import Sample
from qctkit.contracts import Scene
from qctkit.engine.edits.composition import compose, furthest_mm
from qctkit.engine.edits.density_field import DensityField
from qctkit.engine.edits.morph import Morph
from qctkit.engine.edits.voxel import Voxel
from qctkit.engine.scenes import view_scene
from qctkit.frame import FemurFrame
from qctkit.predictors.training import as_tensor
from qctkit.view import View, see

BOTH = compose([DensityField(), Voxel()])


@pytest.fixture(scope="module")
def scene(sample: Sample, frame: FemurFrame, small_view: View) -> Scene:
    image = as_tensor(see(sample.volume, sample.femur, frame, small_view))
    return view_scene(image[None], small_view)


def test_one_edit_alone_is_itself() -> None:
    edit = DensityField()
    assert compose([edit]) is edit


def test_parameters_are_named_after_their_edit(small_view: View) -> None:
    names = {"density-field.log_factor", "density-field.shift_hu", "voxel.change_hu"}
    assert set(BOTH.start(1, small_view)) == names
    assert set(BOTH.units) == set(BOTH.step_sizes) == set(BOTH.spreads) == names


def test_edits_are_applied_in_order(scene: Scene, small_view: View) -> None:
    parameters = BOTH.start(1, small_view)
    parameters["voxel.change_hu"] += 100.0
    parameters["density-field.log_factor"] += 0.5
    density = {n: parameters[f"density-field.{n}"] for n in DensityField().units}
    denser = DensityField().apply(scene, density)
    torch.testing.assert_close(BOTH.apply(scene, parameters).hu, denser.hu + 100.0)


def test_the_region_is_that_of_all_edits(
    sample: Sample, frame: FemurFrame, small_view: View
) -> None:
    both = BOTH.region(sample, frame, small_view)
    each = [one.region(sample, frame, small_view) for one in (DensityField(), Voxel())]
    assert (both == (each[0] | each[1])).all()


def test_it_is_within_limits_where_every_edit_is(scene: Scene, small_view: View) -> None:
    parameters = BOTH.start(3, small_view)
    parameters["voxel.change_hu"][0] += 1e6
    parameters["density-field.shift_hu"][1] += 1e6
    three = scene.take(torch.tensor([0, 0, 0]))
    assert BOTH.within_limits(three, parameters).tolist() == [False, False, True]


def test_how_far_things_move_is_known_of_the_parameters(scene: Scene, small_view: View) -> None:
    morph = Morph()
    parameters = morph.start(1, small_view)
    assert furthest_mm(morph, scene, parameters) == 0.0
    parameters["velocity_mm"][:, 2] = 6.0
    moved = furthest_mm(morph, scene, parameters)
    assert 5.0 < moved < 7.0
    named = {f"morph.{name}": values for name, values in parameters.items()}
    both = compose([DensityField(), morph])
    assert furthest_mm(both, scene, both.start(1, small_view) | named) == moved


def test_an_edit_that_does_not_say_how_far_it_moves_things_may_go_to_its_reach(
    scene: Scene, small_view: View
) -> None:
    class Untold(Morph):
        def figures(self, scene: Scene, parameters: object) -> list[dict[str, float]]:  # noqa: ARG002
            return [{}]

    edit = Untold()
    assert furthest_mm(edit, scene, edit.start(1, small_view)) == edit.reach_mm


def test_figures_say_which_edit_they_are_of(scene: Scene, small_view: View) -> None:
    parameters = BOTH.start(2, small_view)
    parameters["voxel.change_hu"][1, 0, 0, 0] = -7.0
    figures = BOTH.figures(scene.take(torch.tensor([0, 0])), parameters)
    assert [one["voxel.largest_change_hu"] for one in figures] == [0.0, 7.0]
    assert figures[1]["density-field.largest_shift_hu"] == 0.0


def test_it_reaches_as_far_as_all_its_edits_together() -> None:
    assert BOTH.reach_mm == 0.0
    assert compose([DensityField(), Morph(), Morph()]).reach_mm == 2 * Morph().reach_mm
