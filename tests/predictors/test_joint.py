"""Planted linear worlds: features made from attributes, with correlated noise."""

import numpy as np
import pytest
import torch

from qctkit.predictors.joint import fit_joint

EVERY = ("sex", "age_years", "weight_kg")


def _world(subjects: int, seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    random = np.random.default_rng(seed)
    sex = (np.arange(subjects) % 2).astype(float)
    age = random.uniform(30.0, 90.0, subjects)
    weight = np.exp(random.normal(4.2 + 0.1 * sex, 0.15))
    noise = random.standard_normal((subjects, 4)) @ (0.2 * np.eye(4) + 0.1)
    causes = np.stack([sex - 0.5, (age - 60.0) / 20.0, (np.log(weight) - 4.25) / 0.15], axis=1)
    # No feature shows one attribute alone.
    mixed = causes @ np.array([[1.0, 0.5, 0.2, 0.3], [0.6, -1.0, 0.1, 0.5], [0.2, 0.4, 1.0, 0.8]])
    return mixed + noise, {"sex": sex, "age_years": age, "weight_kg": weight}


def _read(features: np.ndarray, values: dict[str, np.ndarray], noise: float = 0.01) -> np.ndarray:
    reader = fit_joint(features, values, EVERY, noise)
    unseen, _ = _world(400, seed=1)
    return reader(torch.from_numpy(unseen).float()).numpy()


def test_thirty_subjects_teach_what_mixed_features_show() -> None:
    _, true = _world(400, seed=1)
    read = _read(*_world(30))
    assert ((read[:, 0] > 0) == (true["sex"] > 0.5)).mean() > 0.85
    assert np.abs(read[:, 1] - true["age_years"]).mean() < 7.0
    assert np.abs(read[:, 2] - true["weight_kg"]).mean() < 6.0


def test_the_probability_of_sex_is_honest_where_the_world_is_as_assumed() -> None:
    _, true = _world(400, seed=1)
    logit = _read(*_world(400), noise=1e-4)[:, 0]
    probability = 1.0 / (1.0 + np.exp(-logit))
    assert probability.mean() == pytest.approx(true["sex"].mean(), abs=0.03)
    confidence = np.maximum(probability, 1.0 - probability).mean()
    assert confidence == pytest.approx(((logit > 0) == (true["sex"] > 0.5)).mean(), abs=0.03)


def test_missing_values_cost_little_and_are_not_taken_for_zero() -> None:
    features, values = _world(60)
    whole = _read(features, values)
    holes = {name: column.copy() for name, column in values.items()}
    holes["age_years"][::4] = np.nan
    holes["sex"][1::4] = np.nan
    assert np.abs(_read(features, holes) - whole)[:, 1].mean() < 3.0


def test_an_attribute_that_was_not_asked_for_is_not_needed() -> None:
    features, values = _world(30)
    reader = fit_joint(features, {"weight_kg": values["weight_kg"]}, ("weight_kg",), 0.01)
    assert reader(torch.from_numpy(features).float()).shape == (30, 1)


def test_a_feature_far_out_does_not_decide_alone() -> None:
    features, values = _world(30)
    reader = fit_joint(features, values, EVERY, 0.01)
    row = torch.from_numpy(features[:1]).float()
    far, further = row.clone(), row.clone()
    far[:, 0] += 100.0
    further[:, 0] += 1000.0
    torch.testing.assert_close(reader(far), reader(further), rtol=1e-3, atol=1e-3)
