"""Planted features that follow age along a bend, in place of measured ones."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from qctkit.predictors.features import FEATURES
from qctkit.predictors.measured import MeasuredFamily, MeasuredNetwork, fit_on_measures
from qctkit.view import HIP_VIEW

FAMILY = replace(MeasuredFamily(), members=1)
FAMILY = replace(FAMILY, schedule=replace(FAMILY.schedule, epochs=40))


def _world(subjects: int, seed: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Return features of which a few grow with sex, with weight, and with age from 50 years on."""
    random = torch.Generator().manual_seed(seed)
    sex = (torch.arange(subjects) % 2).float()
    age = 30.0 + 60.0 * torch.rand(subjects, generator=random)
    weight = 70.0 + 10.0 * sex + 8.0 * torch.randn(subjects, generator=random)
    features = 0.3 * torch.randn(subjects, len(FEATURES), generator=random)
    features[:, 0] += 2.0 * sex
    features[:, 1:4] += ((age - 50.0).clamp(min=0.0) / 10.0)[:, None] ** 2
    features[:, 7] += (weight - 75.0) / 10.0
    return features, {"sex": sex, "age_years": age, "weight_kg": weight}


def _fitted(values: dict[str, Tensor], features: Tensor, seed: int = 0) -> MeasuredNetwork:
    torch.manual_seed(seed)
    model = FAMILY.build(FAMILY.attributes, HIP_VIEW)
    fit_on_measures(model, features, values, FAMILY.attributes, FAMILY.schedule, seed)
    return model.eval()


@pytest.fixture(scope="module")
def model() -> MeasuredNetwork:
    features, values = _world(300, seed=0)
    return _fitted(values, features)


def test_it_reads_a_bend_better_than_its_own_straight_lines(model: MeasuredNetwork) -> None:
    features, true = _world(300, seed=1)
    with torch.no_grad():
        together, straight = model.read(features), model.joint(features)
    errors = [(read[:, 1] - true["age_years"]).abs().mean() for read in (together, straight)]
    assert errors[0] < 0.95 * errors[1]
    assert ((together[:, 0] > 0) == (true["sex"] > 0.5)).float().mean() > 0.97
    assert (together[:, 2] - true["weight_kg"]).abs().mean() < 5.0


def test_the_same_subjects_and_seed_give_the_same_weights(model: MeasuredNetwork) -> None:
    features, values = _world(300, seed=0)
    again = _fitted(values, features)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_unknown_attributes_are_masked() -> None:
    features, values = _world(60, seed=0)
    values["age_years"][::3] = torch.nan
    values["sex"][1::4] = torch.nan
    model = _fitted(values, features)
    with torch.no_grad():
        assert np.isfinite(model.read(features).numpy()).all()
