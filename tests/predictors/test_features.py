"""Planted sizes and densities: a ball on a tube in muscle, with fat outside."""

import math

import pytest
import torch
from torch import Tensor

from qctkit.predictors.features import FEATURES, PhysicalFeatures
from qctkit.view import View

VIEW = View((48, 36, 52))
HEAD_MM, NECK_MM, SHAFT_MM = 24.0, 16.0, 15.0


def _hip(head_mm: float = HEAD_MM, *, bone_hu: float = 400.0, fat_from_mm: float = 40.0) -> Tensor:
    """Return ``(1, 2, D, H, W)``: head above and medial, neck down to a shaft, fat laterally."""
    superior, anterior, medial = torch.from_numpy(VIEW.positions_mm).float().unbind(-1)
    along = torch.stack([superior, anterior, medial], dim=-1)
    head, foot = torch.tensor([25.0, 0.0, 25.0]), torch.tensor([-15.0, 0.0, -15.0])
    ball = head_mm - (along - head).norm(dim=-1)
    axis = (foot - head) / (foot - head).norm()
    reach = ((along - head) @ axis).clamp(0.0, float((foot - head).norm()))
    neck = NECK_MM - (along - head - reach[..., None] * axis).norm(dim=-1)
    tube = SHAFT_MM - torch.sqrt(anterior**2 + (medial + 15.0) ** 2)
    shaft = torch.where(superior < -15.0, tube, torch.full_like(tube, -100.0))
    depth = torch.stack([ball, neck, shaft]).amax(dim=0)
    femur = torch.sigmoid(depth)
    soft = torch.where(medial < -fat_from_mm, -100.0, 50.0)
    return torch.stack([soft + femur * (bone_hu - soft), femur])[None]


def _read(image: Tensor) -> dict[str, float]:
    with torch.no_grad():
        values = PhysicalFeatures(VIEW)(image)[0].tolist()
    return dict(zip(FEATURES, values, strict=True))


def test_the_head_the_neck_and_the_shaft_have_their_planted_radius() -> None:
    found = _read(_hip())
    assert math.exp(found["head_radius_log_mm"]) == pytest.approx(HEAD_MM, abs=1.0)
    # The soft minimum over a long, even neck lies a little below its section.
    assert math.exp(found["neck_radius_log_mm"]) == pytest.approx(NECK_MM, abs=1.2)
    assert math.exp(found["shaft_radius_log_mm"]) == pytest.approx(SHAFT_MM, abs=1.0)
    assert found["neck_slope"] == pytest.approx(-math.sqrt(0.5), abs=0.05)


def test_a_larger_head_changes_the_head_and_not_the_shaft() -> None:
    small, large = _read(_hip()), _read(_hip(HEAD_MM + 3.0))
    assert large["head_radius_log_mm"] - small["head_radius_log_mm"] == pytest.approx(
        math.log(27.0 / 24.0), abs=0.02
    )
    assert large["shaft_radius_log_mm"] == pytest.approx(small["shaft_radius_log_mm"], abs=1e-3)


def test_denser_bone_reads_denser_and_leaves_size_and_soft_tissue_alone() -> None:
    thin, dense = _read(_hip()), _read(_hip(bone_hu=500.0))
    for name in ("core_head_hu", "core_neck_hu", "core_lower_hu"):
        assert dense[name] - thin[name] == pytest.approx(100.0, abs=5.0)
    assert dense["cortex_shaft_log_hu_mm"] > thin["cortex_shaft_log_hu_mm"]
    for name in ("head_radius_log_mm", "axis_length_log_mm", "fat_at_0_deg_cm3"):
        assert dense[name] == pytest.approx(thin[name], abs=0.05)


def test_more_fat_reads_more_fat_and_no_other_bone() -> None:
    lean, fat = _read(_hip()), _read(_hip(fat_from_mm=34.0))
    assert fat["fat_at_0_deg_cm3"] > 1.1 * lean["fat_at_0_deg_cm3"]
    assert fat["core_head_hu"] == pytest.approx(lean["core_head_hu"], abs=1.0)


def test_every_feature_has_a_finite_gradient_and_most_reach_the_hu() -> None:
    image = _hip().requires_grad_()
    features = PhysicalFeatures(VIEW)(image)[0]
    reached = 0
    for value in features:
        (gradient,) = torch.autograd.grad(value, image, retain_graph=True)
        assert gradient.isfinite().all()
        reached += bool(gradient[0, 0].abs().max() > 0)
    assert reached >= len(FEATURES) - 10  # sizes follow the mask alone


def test_a_view_with_no_femur_and_one_outside_the_scan_give_finite_features() -> None:
    empty = torch.zeros(1, 2, *VIEW.shape)
    outside = empty.clone()
    outside[:, 0] = -1000.0
    for image in (empty, outside):
        assert PhysicalFeatures(VIEW)(image).isfinite().all()
