"""The cohort's modes, and the edit that moves along them (what holds of every edit: test_edits)."""

import numpy as np
import pytest
import torch
from torch import Tensor

from qctkit.cohort import Sample
from qctkit.contracts import Edit
from qctkit.engine.atlas import Atlas, Start
from qctkit.engine.edits.cohort_modes import MOST_SD, CohortModes
from qctkit.engine.edits.composition import compose, from_atlas, moving_part
from qctkit.engine.edits.density_field import DensityField
from qctkit.engine.effects import Design
from qctkit.engine.modes import MODES, Modes, mode_weights
from qctkit.engine.registration import knots
from qctkit.engine.render import render
from qctkit.frame import FemurFrame
from qctkit.testing.scenes import BATCH, VIEW, make_scene
from tests.engine.hips import VIEW as HIP_VIEW
from tests.engine.hips import hip

SUBJECTS = 12
SCORES = np.random.default_rng(0).standard_normal((SUBJECTS, 2))
DENSER, WIDER = (
    torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    for seed, shape in ((1, HIP_VIEW.shape), (2, (3, *knots(HIP_VIEW))))
)


def _atlas(scores: np.ndarray) -> Atlas:
    """Return a cohort that varies in density by one score and in shape by another."""
    first, second = torch.from_numpy(scores).float().T
    hu = 100.0 + 30.0 * torch.einsum("n,dhw->ndhw", first, DENSER.sign())
    velocity = 2.0 * torch.einsum("n,kdhw->nkdhw", second, WIDER)
    design = Design.of({"age_years": np.linspace(40.0, 80.0, len(scores))}, scores[:, 1])
    return Atlas(HIP_VIEW, hip()[None], velocity, hu, design)


@pytest.fixture(scope="module")
def modes() -> Modes:
    """Return the modes for the template itself, its second subject's samples left out."""
    atlas = _atlas(SCORES)
    start = atlas.starts(hip()[None], np.zeros((1, 1)), [(2, 3)])
    assert start.modes is not None
    return start.modes()


def _likeness(one: Tensor, other: Tensor) -> float:
    return abs(float(np.corrcoef(one.flatten(), other.flatten())[0, 1]))


def test_two_scores_make_two_modes_and_the_others_do_nothing(modes: Modes) -> None:
    sizes = (
        modes.density_hu[0].abs().amax(dim=(1, 2, 3)),
        modes.shape_mm[0].abs().amax(dim=(1, 2, 3, 4)),
    )
    assert (sizes[0][:2] > 1.0).any()
    assert (sizes[0][2:] < 1e-3).all()
    assert (sizes[1][2:] < 1e-3).all()


def test_modes_are_as_large_as_the_cohort_varies(modes: Modes) -> None:
    kept = np.delete(SCORES, [2, 3], axis=0)
    expected = 30.0 * kept[:, 0].std(ddof=1)
    found = modes.density_hu[0].square().sum(dim=0).sqrt()
    # The template lies where it is, so that only interpolation stands between.
    inner = found[2:-2, 2:-2, 2:-2]
    assert float(inner.mean()) == pytest.approx(expected, rel=0.15)


def test_weights_are_independent_scores_of_one_standard_deviation() -> None:
    draw = np.random.default_rng(1)
    mixed = draw.standard_normal((SUBJECTS, 40)), draw.standard_normal((SUBJECTS, 7))
    weights = mode_weights(mixed)
    scores = weights * np.sqrt(SUBJECTS - 1)
    np.testing.assert_allclose(scores @ scores.T, np.eye(MODES), atol=1e-8)
    np.testing.assert_allclose(weights.sum(axis=1), 0.0, atol=1e-9)


def test_blocks_of_other_units_have_the_same_say() -> None:
    draw = np.random.default_rng(2)
    blocks = draw.standard_normal((SUBJECTS, 40)), draw.standard_normal((SUBJECTS, 7))
    np.testing.assert_allclose(
        mode_weights(blocks), mode_weights((1000.0 * blocks[0] + 5.0, blocks[1])), atol=1e-6
    )


def test_few_subjects_have_few_modes() -> None:
    weights = mode_weights((np.random.default_rng(3).standard_normal((4, 20)),))
    assert (np.abs(weights[:3]).max(axis=1) > 0.1).all()
    assert np.abs(weights[3:]).max() == 0.0


def test_the_edited_subject_has_no_say(modes: Modes) -> None:
    other = SCORES.copy()
    other[[2, 3]] += 50.0
    start = _atlas(other).starts(hip()[None], np.zeros((1, 1)), [(2, 3)])
    assert start.modes is not None
    again = start.modes()
    assert torch.equal(again.density_hu, modes.density_hu)
    assert torch.equal(again.shape_mm, modes.shape_mm)


def _parameters(size: float) -> dict[str, Tensor]:
    """Return modes that raise density and lift the hip, and one coefficient for each sample."""
    parameters = CohortModes().start(BATCH, VIEW)
    parameters["density_hu"] += 5.0
    parameters["shape_mm"][:, :, 0] = 0.5
    parameters["coefficients"][:, 0] = size
    return parameters


def test_coefficients_of_zero_are_the_identity_whatever_the_modes(
    sample: Sample, frame: FemurFrame
) -> None:
    edit, scene = CohortModes(), make_scene()
    after = edit.apply(scene, _parameters(0.0))
    assert torch.equal(after.hu, scene.hu)
    assert torch.equal(after.femur, scene.femur)
    single = {name: values[0] for name, values in _parameters(0.0).items()}
    made = render(sample, edit, single, edit.region(sample, frame, VIEW), frame, VIEW)
    np.testing.assert_array_equal(made.volume.voxels, sample.volume.voxels)
    np.testing.assert_array_equal(made.femur.voxels, sample.femur.voxels)


def test_two_modes_are_the_sum_of_both() -> None:
    edit, scene = CohortModes(), make_scene()
    both = _parameters(1.0)
    both["coefficients"][:, 1] = 2.0
    torch.testing.assert_close(
        edit.apply(scene, both).hu, edit.apply(scene, _parameters(3.0)).hu, rtol=0.0, atol=1e-3
    )


def test_further_than_two_people_lie_apart_is_not_allowed() -> None:
    edit, scene = CohortModes(), make_scene()
    for size, allowed in ((0.99 * MOST_SD, True), (1.01 * MOST_SD, False)):
        assert edit.within_limits(scene, _parameters(-size)).tolist() == [allowed] * BATCH
    figures = edit.figures(scene, _parameters(-2.0))[0]
    assert figures["distance_sd"] == pytest.approx(2.0)
    assert figures["largest_added_hu"] == pytest.approx(10.0)


def test_pairs_of_people_lie_within_the_bound_nineteen_times_of_twenty() -> None:
    people = np.random.default_rng(0).standard_normal((2, 20000, MODES))
    apart = np.linalg.norm(people[0] - people[1], axis=1)
    assert (apart <= MOST_SD).mean() == pytest.approx(0.95, abs=0.005)


@pytest.mark.parametrize("others", [(), (DensityField(),)], ids=["alone", "composed"])
def test_what_only_moves_leaves_density_alone(others: tuple[Edit, ...]) -> None:
    edit = compose([CohortModes(), *others])
    prefix = "cohort-modes." if others else ""
    parameters = edit.start(BATCH, VIEW) | {
        f"{prefix}{name}": values for name, values in _parameters(2.0).items()
    }
    moving = moving_part(edit, parameters)
    assert set(moving) == set(parameters)
    assert (moving[f"{prefix}density_hu"] == 0.0).all()
    assert torch.equal(moving[f"{prefix}shape_mm"], parameters[f"{prefix}shape_mm"])


def test_an_atlas_gives_modes_and_leaves_coefficients_at_zero(modes: Modes) -> None:
    nothing = torch.zeros(1)
    found = from_atlas(CohortModes(), Start(HIP_VIEW, nothing, nothing, lambda: modes))
    assert set(found) == {"density_hu", "shape_mm"}
    shapes = {name: one.shape for name, one in CohortModes().start(1, HIP_VIEW).items()}
    assert {name: one.shape for name, one in found.items()}.items() <= shapes.items()
