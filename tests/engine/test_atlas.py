"""The atlas on a small cohort whose size, density and muscle follow the attributes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from qctkit.engine.atlas import AMPLITUDE, FAT_HU, Atlas, Start
from qctkit.engine.effects import Array, Design
from qctkit.engine.registration import displacement_mm, knots, sampled
from tests.engine.hips import VIEW, hip

SUBJECTS = 12
LARGER = 0.12
HU_A_YEAR = -2.0
"""Planted: a man's femur over a woman's, and what a year of age does to bone."""

OWN_SIZE = 0.06 * np.array([1, -1, -1, 1, 1, 1, -1, -1, 0, 0, 0, 0])
"""By which people of one sex differ."""

WOMAN_OF_60 = hip(size=1.0, bone_hu=300.0)
BONE = WOMAN_OF_60[1] > 0.9


def _attributes() -> dict[str, Array]:
    number = np.arange(SUBJECTS)
    age = 40.0 + 4.0 * ((5 * number) % SUBJECTS)
    weight = 60.0 + 3.0 * ((7 * number + 2) % SUBJECTS)
    return {"sex": (number % 2).astype(float), "age_years": age, "weight_kg": weight}


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    attributes = _attributes()
    hips = [
        hip(
            size=1.0 + LARGER * sex + own,
            bone_hu=300.0 + HU_A_YEAR * (age - 60.0),
            muscle_mm=24.0 + 0.1 * (weight - 75.0),
        )
        for sex, age, weight, own in zip(*attributes.values(), OWN_SIZE, strict=True)
    ]
    return Atlas.learn(torch.stack(hips), attributes, VIEW)


def _start(atlas: Atlas, source: Tensor = WOMAN_OF_60, **asked: float) -> Start:
    """Return the start of a woman of 60 years and 75 kg who changes."""
    before = {"sex": 0.0, "age_years": 60.0, "weight_kg": 75.0}
    change = atlas.design.change(before, before | asked)
    return atlas.starts(source[None], change[None], [()])


def _moved(image: Tensor, start: Start) -> Tensor:
    """Return an image after its tissue has moved."""
    return sampled(image[None], displacement_mm(-start.velocity_mm, VIEW), VIEW)[0]


def test_its_parts_have_the_shapes_that_are_stated(atlas: Atlas) -> None:
    assert atlas.template.shape == (1, 2, *VIEW.shape)
    assert atlas.velocity_mm.shape == (SUBJECTS, 3, *knots(VIEW))
    assert atlas.hu.shape == (SUBJECTS, *VIEW.shape)


def test_the_template_lies_in_the_middle_of_all_shapes(atlas: Atlas) -> None:
    one = atlas.velocity_mm.square().mean().sqrt()
    assert atlas.velocity_mm.mean(dim=0).square().mean().sqrt() < 0.35 * one
    volume = atlas.template[0, 1].sum()
    assert hip(size=1.0)[1].sum() < volume < hip(size=1.0 + LARGER)[1].sum()


def test_larger_skeletons_have_larger_sizes(atlas: Atlas) -> None:
    planted = 1.0 + LARGER * _attributes()["sex"] + OWN_SIZE
    assert np.corrcoef(np.log(planted), atlas.design.size)[0, 1] > 0.97


def test_a_change_of_nothing_gives_exactly_nothing(atlas: Atlas) -> None:
    start = _start(atlas)
    assert (start.velocity_mm == 0.0).all()
    assert (start.added_hu == 0.0).all()


def test_a_start_holds_no_gradient_and_spans_knots_and_view(atlas: Atlas) -> None:
    start = _start(atlas, age_years=80.0)
    assert start.velocity_mm.shape == (1, 3, *knots(VIEW))
    assert start.added_hu.shape == (1, *VIEW.shape)
    assert not start.velocity_mm.requires_grad
    assert not start.added_hu.requires_grad


def test_age_takes_from_bone_what_was_planted(atlas: Atlas) -> None:
    added = _start(atlas, age_years=80.0).added_hu[0, BONE]
    assert added.mean().item() == pytest.approx(AMPLITUDE * 20.0 * HU_A_YEAR, rel=0.25)


def test_the_same_years_back_are_the_opposite(atlas: Atlas) -> None:
    older, younger = _start(atlas, age_years=80.0), _start(atlas, age_years=40.0)
    torch.testing.assert_close(older.added_hu, -younger.added_hu)
    torch.testing.assert_close(older.velocity_mm, -younger.velocity_mm)


def test_a_woman_made_a_man_has_the_planted_growth_of_the_femur(atlas: Atlas) -> None:
    grown = _moved(WOMAN_OF_60, _start(atlas, sex=1.0))[1].sum() / WOMAN_OF_60[1].sum()
    planted = hip(size=1.0 + LARGER)[1].sum() / WOMAN_OF_60[1].sum()
    assert 0.6 < (grown - 1.0) / (planted - 1.0) / AMPLITUDE < 1.1


def test_weight_moves_fat_and_hardly_the_femur(atlas: Atlas) -> None:
    start = _start(atlas, weight_kg=95.0)
    after = _moved(WOMAN_OF_60, start)
    lean_before, lean_after = ((one[0] > -25.0).sum() for one in (WOMAN_OF_60, after))
    assert lean_after > 1.05 * lean_before
    # Knots of 9 mm cannot part bone from what moves beside it altogether.
    assert abs(after[1].sum() / WOMAN_OF_60[1].sum() - 1.0) < 0.08


def test_samples_left_out_have_no_say(atlas: Atlas) -> None:
    other = replace(atlas, hu=atlas.hu.clone(), velocity_mm=atlas.velocity_mm.clone())
    other.hu[[2, 3]] += 1e3
    other.velocity_mm[[2, 3]] += 30.0
    change = atlas.design.change({"age_years": 60.0}, {"age_years": 80.0})[None]
    starts = [one.starts(WOMAN_OF_60[None], change, [(2, 3)]) for one in (atlas, other)]
    assert torch.equal(starts[0].added_hu, starts[1].added_hu)
    assert torch.equal(starts[0].velocity_mm, starts[1].velocity_mm)


def test_the_same_source_starts_alike_to_the_last_bit(atlas: Atlas) -> None:
    first, again = (_start(atlas, age_years=80.0, sex=1.0) for _ in range(2))
    assert torch.equal(first.added_hu, again.added_hu)
    assert torch.equal(first.velocity_mm, again.velocity_mm)


# An atlas by hand: what a change does is known, and only the way to the source is found.

TEMPLATE = hip()
MEN = np.arange(400) % 2 == 1


def _by_hand(velocity_mm: Tensor, hu: Tensor) -> Atlas:
    """Return an atlas whose men differ from its women by a velocity and HU."""
    sex = MEN.astype(float)
    velocities = torch.from_numpy(sex).float()[:, None, None, None, None] * velocity_mm
    densities = torch.from_numpy(sex).float()[:, None, None, None] * hu
    design = Design.of({"sex": sex}, np.random.default_rng(0).standard_normal(len(sex)))
    return Atlas(VIEW, TEMPLATE[None], velocities, densities, design)


def _in_bone(start: Start, source: Tensor) -> Tensor:
    """Return the mean displacement of a source's femur, ``(3,)``."""
    inner = source[1] > 0.9
    inner[:2] = inner[-2:] = False
    return displacement_mm(start.velocity_mm, VIEW)[0][:, inner].mean(dim=1)


def _up(mm: float) -> Tensor:
    return torch.tensor([mm, 0.0, 0.0])[:, None, None, None].expand(3, *knots(VIEW)).clone()


def test_an_effect_is_turned_with_the_bone_that_it_is_carried_to() -> None:
    atlas = _by_hand(_up(3.0), torch.zeros(VIEW.shape))
    leaning = hip(tilt=0.25)
    straight, turned = (
        _in_bone(atlas.starts(one[None], np.ones((1, 1)), [()]), one) for one in (TEMPLATE, leaning)
    )
    torch.testing.assert_close(
        straight, torch.tensor([3.0, 0.0, 0.0]) * AMPLITUDE, rtol=0, atol=0.2
    )
    # What goes up in the template goes along the shaft of a femur that leans.
    assert turned[0].item() == pytest.approx(3.0 * AMPLITUDE, abs=0.5)
    assert turned[2].item() == pytest.approx(0.25 * 3.0 * AMPLITUDE, abs=0.3)
    assert abs(turned[1].item()) < 0.2


@pytest.mark.parametrize("axis", range(3))
def test_a_density_lands_where_the_sources_own_bone_is(axis: int) -> None:
    spot = hip(size=0.5)[1]
    atlas = _by_hand(0.0 * _up(1.0), 100.0 * spot)
    moved_mm = [0.0, 0.0, 0.0]
    moved_mm[axis] = 6.0
    source = hip(moved_mm=(moved_mm[0], moved_mm[1], moved_mm[2]))
    start = atlas.starts(source[None], np.ones((1, 1)), [()])
    wanted = 100.0 * AMPLITUDE * hip(size=0.5, moved_mm=(moved_mm[0], moved_mm[1], moved_mm[2]))[1]
    apart = (start.added_hu[0] - wanted).abs().mean()
    assert apart < 0.5 * (100.0 * AMPLITUDE * spot - wanted).abs().mean()


def test_no_tissue_is_taken_below_fat_and_what_is_below_stays() -> None:
    atlas = _by_hand(0.0 * _up(1.0), torch.full(VIEW.shape, -400.0))
    source = hip(bone_hu=150.0)
    source[0, ..., -1:] = -1000.0
    (added,) = atlas.starts(source[None], np.ones((1, 1)), [()]).added_hu
    after = source[0] + added
    assert (after >= source[0].clamp(max=FAT_HU) - 1e-3).all()
    assert (added[..., -1:] == 0.0).all()
    assert after[source[1] > 0.9].mean() == pytest.approx(FAT_HU, abs=5.0)
