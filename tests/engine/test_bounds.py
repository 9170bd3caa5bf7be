"""Bounds in place of weights: what the loop finds keeps them, and says what it found."""

import pytest
import torch
from torch import Tensor

from qctkit.contracts import AtMost, Scene
from qctkit.engine.edits.cohort_change import CohortDensity
from qctkit.engine.edits.density_field import DensityField
from qctkit.engine.loop import Aim, Outcome, Stop, optimise
from qctkit.engine.losses.preservation import Size
from qctkit.engine.losses.similarity import StructureSimilarity
from qctkit.errors import PluginError
from qctkit.testing.scenes import BATCH, VIEW, make_scene

EDIT = DensityField()
BOUND = AtMost(0.004)
STEPS = 40


def _mean_hu(hu: Tensor, femur: Tensor) -> Tensor:
    return ((hu * femur).sum(dim=(1, 2, 3)) / femur.sum(dim=(1, 2, 3)))[:, None]


def _aim(scene: Scene, change_hu: float) -> Aim:
    now = _mean_hu(scene.hu, scene.femur)
    return Aim(_mean_hu, now + change_hu, torch.tensor([30.0]))


def _run(bound: float | AtMost, change_hu: float = 150.0, rows: Tensor | None = None) -> Outcome:
    scene = make_scene() if rows is None else make_scene().take(rows)
    preservation = [(0.001, Size()), (bound, StructureSimilarity())]
    start = EDIT.start(len(scene.hu), VIEW)
    (first, *_) = optimise(
        scene, EDIT, start, [_aim(scene, change_hu)], preservation, steps=STEPS, patience=STEPS
    )
    return first


@pytest.fixture(scope="module")
def bounded() -> Outcome:
    return _run(BOUND)


def test_a_bound_holds_at_the_end_where_a_free_run_would_break_it(bounded: Outcome) -> None:
    free = _run(0.0)
    assert free.kept[1].cost > 2.0 * BOUND.cost
    assert bounded.kept[1].cost <= BOUND.cost
    assert bounded.stop is not Stop.REFUSED


def test_a_bound_is_used_and_not_fled_from(bounded: Outcome) -> None:
    assert bounded.kept[1].cost > 0.7 * BOUND.cost
    assert bounded.losses[0] > 1.5 * min(bounded.losses)


def test_each_term_is_on_record_with_its_cost_and_its_weight_or_bound(bounded: Outcome) -> None:
    size, similarity = bounded.kept
    assert (size.term, size.weight, size.at_most) == ("size", 0.001, None)
    assert (similarity.term, similarity.weight) == ("structure-similarity", None)
    assert similarity.at_most == BOUND.cost
    assert not similarity.is_broken


def test_a_bound_that_is_kept_anyway_leaves_the_aim_to_be_reached() -> None:
    wide = _run(AtMost(0.5))
    assert wide.stop is Stop.REACHED


def test_a_bounded_run_is_the_same_every_time_and_alone(bounded: Outcome) -> None:
    assert _run(BOUND).losses == bounded.losses
    alone = _run(BOUND, rows=torch.tensor([0]))
    assert alone.steps == bounded.steps
    assert alone.losses == pytest.approx(bounded.losses, rel=1e-3)


def test_a_start_that_breaks_a_bound_is_refused_where_nothing_can_move() -> None:
    edit, scene = CohortDensity(), make_scene()
    start = {"added_hu": edit.start(BATCH, VIEW)["added_hu"] - 200.0}
    preservation = [(BOUND, StructureSimilarity())]
    (one, *_) = optimise(scene, edit, start, [], preservation, steps=9, patience=9)
    assert one.stop is Stop.REFUSED
    assert one.kept[0].is_broken


@pytest.mark.parametrize("cost", [0.0, -1.0, float("nan")])
def test_a_bound_of_nothing_is_refused(cost: float) -> None:
    with pytest.raises(PluginError, match="must be above 0"):
        AtMost(cost)
