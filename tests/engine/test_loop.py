from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from qctkit.cohort import Sample
from qctkit.contracts import Pace, Scene
from qctkit.engine.edits.cohort_change import CohortDensity
from qctkit.engine.edits.composition import compose
from qctkit.engine.edits.density_field import DensityField
from qctkit.engine.loop import Aim, Outcome, Stop, optimise
from qctkit.engine.losses.attributes import ClassMargin
from qctkit.engine.losses.preservation import Size, Smoothness
from qctkit.engine.scenes import view_scene
from qctkit.frame import locate
from qctkit.predictors.training import as_tensor
from qctkit.view import View, see

EDIT = DensityField()
PRESERVATION = [(0.001, Size()), (0.001, Smoothness())]


@pytest.fixture(scope="module")
def scene(people: tuple[Sample, ...], small_view: View) -> Scene:
    images = []
    for one in people[:3]:
        frame = locate(one.femur, one.volume.geometry)
        images.append(as_tensor(see(one.volume, one.femur, frame, small_view)))
    return view_scene(torch.stack(images), small_view)


def _mean_hu(hu: Tensor, femur: Tensor) -> Tensor:
    return ((hu * femur).sum(dim=(1, 2, 3)) / femur.sum(dim=(1, 2, 3)))[:, None]


def _blind(hu: Tensor, femur: Tensor) -> Tensor:
    return 0.0 * (hu + femur).sum(dim=(1, 2, 3))[:, None]


def _aim(scene: Scene, change_hu: list[float], error: float = 50.0) -> Aim:
    now = _mean_hu(scene.hu, scene.femur)
    return Aim(_mean_hu, now + torch.tensor(change_hu)[:, None], torch.tensor([error]))


def _run(
    scene: Scene, view: View, aims: list[Aim], steps: int = 120, patience: int = 25
) -> list[Outcome]:
    start = EDIT.start(len(scene.hu), view)
    return optimise(scene, EDIT, start, aims, PRESERVATION, steps=steps, patience=patience)


def test_an_aim_that_can_be_reached_is_reached_and_says_so(scene: Scene, small_view: View) -> None:
    aim = _aim(scene, [60.0, -60.0, 30.0])
    outcomes = _run(scene, small_view, [aim])
    assert [one.stop for one in outcomes] == [Stop.REACHED] * 3
    chosen = {n: torch.stack([o.parameters[n] for o in outcomes]) for n in EDIT.units}
    after = EDIT.apply(scene, chosen)
    read = _mean_hu(after.hu, after.femur)
    assert ((read - aim.wanted).abs() <= 0.15 * 50.0 + 1e-3).all()


def test_an_aim_that_nothing_moves_stalls(scene: Scene, small_view: View) -> None:
    (first, *_) = _run(
        scene, small_view, [Aim(_blind, torch.full((3, 1), 9.0), torch.ones(1))], patience=10
    )
    assert first.stop is Stop.STALLED
    assert first.steps == 11


def test_a_run_that_is_too_short_is_out_of_steps(scene: Scene, small_view: View) -> None:
    outcomes = _run(scene, small_view, [_aim(scene, [60.0] * 3)], steps=5)
    assert [(one.stop, one.steps) for one in outcomes] == [(Stop.OUT_OF_STEPS, 5)] * 3
    assert all(len(one.losses) == 5 for one in outcomes)


def test_a_short_run_that_ends_where_it_should_has_reached_it(
    scene: Scene, small_view: View
) -> None:
    outcomes = _run(scene, small_view, [_aim(scene, [5.0, -5.0, 60.0])], steps=5)
    ends = [(one.stop, one.steps) for one in outcomes]
    assert ends == [(Stop.REACHED, 5), (Stop.REACHED, 5), (Stop.OUT_OF_STEPS, 5)]


def test_an_attribute_term_decides_what_missing_an_aim_costs(
    scene: Scene, small_view: View
) -> None:
    aim = _aim(scene, [-300.0] * 3)
    side = torch.tensor([[1.0], [-1.0], [0.0]])
    start = EDIT.start(3, small_view)
    outcomes = optimise(
        scene, EDIT, start, [replace(aim, side=side)], [], steps=1, patience=1,
        attribute_term=ClassMargin(),
    )  # fmt: skip
    # Read 6 typical errors above what is wanted: surer than asked, too little sure, and too much.
    assert [one.losses[0] for one in outcomes] == pytest.approx([0.0, 36.0, 36.0])


def test_an_aim_beyond_human_bone_is_refused_by_the_constraint(
    scene: Scene, small_view: View
) -> None:
    outcomes = _run(scene, small_view, [_aim(scene, [5000.0] * 3)], steps=300)
    assert [one.stop for one in outcomes] == [Stop.REFUSED] * 3


class _NeverWithinLimits(DensityField):
    def within_limits(self, scene: Scene, parameters: Mapping[str, Tensor]) -> Tensor:
        return torch.zeros_like(super().within_limits(scene, parameters))


def test_beyond_its_limits_a_candidate_is_refused_though_it_reads_as_wanted(
    scene: Scene, small_view: View
) -> None:
    edit, start = _NeverWithinLimits(), EDIT.start(3, small_view)
    outcomes = optimise(scene, edit, start, [_aim(scene, [0.0] * 3)], [], steps=30, patience=99)
    assert [one.stop for one in outcomes] == [Stop.REFUSED] * 3


def test_a_sample_without_a_target_asks_nothing(scene: Scene, small_view: View) -> None:
    outcomes = _run(scene, small_view, [_aim(scene, [60.0, float("nan"), 60.0])])
    assert (outcomes[1].parameters["shift_hu"] == 0.0).all()
    assert outcomes[0].parameters["shift_hu"].abs().max() > 0.0


def test_a_batch_gives_what_one_by_one_gives(scene: Scene, small_view: View) -> None:
    changes = [60.0, -150.0, 20.0]
    batch = _run(scene, small_view, [_aim(scene, changes)])
    for row in range(3):
        one = scene.take(torch.tensor([row]))
        (alone,) = _run(one, small_view, [_aim(one, [changes[row]])])
        assert (alone.stop, alone.steps) == (batch[row].stop, batch[row].steps)
        for name, values in alone.parameters.items():
            torch.testing.assert_close(values, batch[row].parameters[name], rtol=1e-3, atol=1e-3)


def test_the_start_is_not_changed(scene: Scene, small_view: View) -> None:
    start = EDIT.start(3, small_view)
    optimise(scene, EDIT, start, [_aim(scene, [60.0] * 3)], [], steps=3, patience=9)
    assert all((values == 0.0).all() for values in start.values())


STARTED = compose([CohortDensity(), DensityField()])


def _started(view: View) -> dict[str, Tensor]:
    start = STARTED.start(3, view)
    return start | {"cohort-density.added_hu": start["cohort-density.added_hu"] + 30.0}


def test_what_is_held_or_has_no_step_stays_to_the_last_bit(scene: Scene, small_view: View) -> None:
    start, held = _started(small_view), "density-field.shift_hu"
    aims = [_aim(scene, [90.0] * 3)]
    outcomes = optimise(scene, STARTED, start, aims, [], steps=9, patience=9, held=[held])
    for row, one in enumerate(outcomes):
        for name in ("cohort-density.added_hu", held):
            assert torch.equal(one.parameters[name], start[name][row])
        assert (one.parameters["density-field.log_factor"] != 0.0).any()


def test_what_stays_at_its_start_costs_nothing(scene: Scene, small_view: View) -> None:
    terms = [(1.0, Size()), (1.0, Smoothness())]
    (one, *_) = optimise(scene, STARTED, _started(small_view), [], terms, steps=2, patience=9)
    assert one.losses == (0.0, 0.0)


def test_a_start_is_where_the_loop_sets_out(scene: Scene, small_view: View) -> None:
    started = [
        optimise(scene, STARTED, start, [_aim(scene, [30.0] * 3)], [], steps=1, patience=9)[0]
        for start in (STARTED.start(3, small_view), _started(small_view))
    ]
    assert started[1].losses[0] < 0.1 * started[0].losses[0]


def test_where_the_loop_may_move_nothing_the_start_is_what_comes_out(
    scene: Scene, small_view: View
) -> None:
    start = {"added_hu": CohortDensity().start(3, small_view)["added_hu"] + 30.0}
    (one, *_) = optimise(
        scene, CohortDensity(), start, [_aim(scene, [60.0] * 3)], PRESERVATION, steps=9, patience=9
    )
    assert torch.equal(one.parameters["added_hu"], start["added_hu"][0])
    assert (one.stop, one.steps) == (Stop.OUT_OF_STEPS, 1)


def test_few_at_a_time_gives_what_all_together_gives(scene: Scene, small_view: View) -> None:
    aims, start = [_aim(scene, [60.0, -150.0, 20.0])], EDIT.start(3, small_view)
    few, every = (
        optimise(scene, EDIT, start, aims, PRESERVATION, steps=60, patience=25, together=number)
        for number in (2, 3)
    )
    for one, other in zip(few, every, strict=True):
        assert (one.stop, one.steps) == (other.stop, other.steps)
        assert one.losses == pytest.approx(other.losses, rel=1e-3)


def test_a_pace_goes_from_its_first_to_its_last_step() -> None:
    pace = Pace(first=6.0, last=0.0)
    shares = [pace.share(step, 60) for step in range(60)]
    assert shares[0] == 6.0
    assert shares == sorted(shares, reverse=True)
    assert 0.0 < shares[-1] < 0.01
    assert shares[pace.settled(60) - 1] > 1.0 >= shares[pace.settled(60)]
    assert Pace().settled(60) == 0


def test_longer_steps_arrive_sooner_and_do_not_stop_before_they_have_come_down(
    scene: Scene, small_view: View
) -> None:
    start, pace = EDIT.start(3, small_view), Pace(first=6.0, last=0.0, memory=(0.8, 0.95))
    aims = [_aim(scene, [200.0, -200.0, 150.0])]
    fast = optimise(scene, EDIT, start, aims, PRESERVATION, steps=60, patience=60, pace=pace)
    slow = optimise(scene, EDIT, start, aims, PRESERVATION, steps=60, patience=60)
    assert all(one.steps > pace.settled(60) >= 20 for one in fast)
    assert all(a.losses[2] < b.losses[2] for a, b in zip(fast, slow, strict=True))
