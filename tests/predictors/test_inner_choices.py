"""What a fit chooses for itself, it chooses by leaving out people: their other hip would tell.

Each person is scanned twice here, and nothing in the scans follows what is to be learned: whoever
leaves out single scans finds the twin and takes it for skill.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeCV
from torch import Tensor

from qctkit.contracts import TrainingData
from qctkit.predictors.density import DensityFamily
from qctkit.predictors.features import FEATURES
from qctkit.predictors.physical import PhysicalFamily, PhysicalPredictor, fit_on_features
from qctkit.predictors.ridge import ridge
from qctkit.predictors.voxel_ridge import VoxelRidgeFamily
from qctkit.view import HIP_VIEW, View

PEOPLE, COLUMNS = 12, 40
PENALTIES = np.geomspace(0.1, 1000.0, 21)
TWICE = tuple(f"person-{number % PEOPLE}" for number in range(2 * PEOPLE))
SMALL = View((12, 10, 8), (9.0, 8.0, 7.0))


def _scanned_twice(seed: int = 0, apart: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    """Return features ``(2 P, F)`` and a value ``(2 P,)`` that does not follow them."""
    draw = np.random.default_rng(seed)
    features = np.tile(draw.normal(size=(PEOPLE, COLUMNS)), (2, 1))
    return features + apart * draw.normal(size=features.shape), np.tile(draw.normal(size=PEOPLE), 2)


def _noisy_hips(people: int) -> TrainingData:
    """Return two hips each of people whose bone is noise, and whose age is another."""
    draw = torch.Generator().manual_seed(0)
    hu = (400.0 + 100.0 * torch.randn(people, *SMALL.shape, generator=draw)).repeat(2, 1, 1, 1)
    hu += torch.randn(hu.shape, generator=draw)
    age = (65.0 + 10.0 * torch.randn(people, generator=draw)).repeat(2)
    names = tuple(f"person-{number}" for number in range(people)) * 2
    images = torch.stack([hu, torch.ones_like(hu)], dim=1)
    return TrainingData(images, {"age_years": age}, SMALL, names)


@pytest.mark.parametrize("seed", range(3))
def test_held_out_readings_are_those_of_fits_without_the_person(seed: int) -> None:
    draw = np.random.default_rng(seed)
    subjects = [f"{one}" for one in draw.integers(0, 7, 20)]  # one to several scans each
    features, wanted = draw.normal(size=(20, 9)), draw.normal(size=20)
    found = ridge(features, wanted, subjects, (3.0,))
    for name in set(subjects):
        out = np.array(subjects) == name
        others = ridge(features[~out], wanted[~out], np.array(subjects)[~out], (3.0,))
        np.testing.assert_allclose(
            found.held_out[out], features[out] @ others.weights + others.bias, atol=1e-9
        )


def test_with_one_scan_a_person_it_is_the_usual_leave_one_out() -> None:
    draw = np.random.default_rng(0)
    features = draw.normal(size=(30, 6))
    wanted = features[:, 0] + draw.normal(size=30)
    usual = RidgeCV(alphas=PENALTIES, store_cv_results=True).fit(features, wanted)
    found = ridge(features, wanted, [str(one) for one in range(30)], PENALTIES)
    assert found.penalty == usual.alpha_
    np.testing.assert_allclose(found.weights, usual.coef_, atol=1e-9)
    errors = usual.cv_results_[:, list(PENALTIES).index(found.penalty)]
    np.testing.assert_allclose((wanted - found.held_out) ** 2, errors, atol=1e-9)


def test_people_scanned_twice_choose_as_those_scanned_once() -> None:
    features, wanted = _scanned_twice(apart=0.0)
    once = ridge(features[:PEOPLE], wanted[:PEOPLE], TWICE[:PEOPLE], PENALTIES)
    # A penalty on twice the squares must be twice as large for the same line.
    twice = ridge(features, wanted, TWICE, 2.0 * PENALTIES)
    assert twice.penalty == pytest.approx(2.0 * once.penalty)
    np.testing.assert_allclose(twice.weights, once.weights, atol=1e-9)
    np.testing.assert_allclose(twice.held_out[PEOPLE:], once.held_out, atol=1e-9)


def test_the_other_hip_of_a_person_is_no_skill() -> None:
    stricter = []
    for seed in range(15):
        features, wanted = _scanned_twice(seed)
        fooled = ridge(features, wanted, [str(row) for row in range(len(features))], PENALTIES)
        honest = ridge(features, wanted, TWICE, PENALTIES)
        assert np.mean((fooled.held_out - wanted) ** 2) < 0.1 * wanted.var()
        assert np.mean((honest.held_out - wanted) ** 2) > 0.6 * wanted.var()
        stricter.append(honest.penalty / fooled.penalty)
    # Of noise a few people may seem to show something by chance.
    assert min(stricter) >= 1.0
    assert np.median(stricter) > 30.0


def test_scans_of_one_person_alone_give_finite_readings() -> None:
    features, wanted = _scanned_twice()
    found = ridge(features[:3], wanted[:3], ["alone"] * 3, PENALTIES)
    assert np.isfinite(found.held_out).all()
    assert np.isfinite(found.weights).all()


@pytest.mark.parametrize(
    "family", [VoxelRidgeFamily(view=SMALL), DensityFamily(view=SMALL)], ids=lambda one: one.name
)
def test_of_noise_seen_twice_a_ridge_learns_the_mean(
    family: VoxelRidgeFamily | DensityFamily,
) -> None:
    data = _noisy_hips(8)
    own_spread = float(data.values["age_years"].std())
    honest, fooled = (_readings(family, one) for one in (data, replace(data, subjects=())))
    assert fooled.std() > 0.5 * own_spread
    assert honest.std() < 0.3 * own_spread


def _readings(family: VoxelRidgeFamily | DensityFamily, data: TrainingData) -> Tensor:
    with torch.no_grad():
        return family.fit(data, ("age_years",), 0)(data.images[:])


def test_the_temperature_of_noise_seen_twice_is_high() -> None:
    draw = np.random.default_rng(0)
    features = np.tile(draw.normal(size=(PEOPLE, len(FEATURES))), (2, 1))
    features += 0.01 * draw.normal(size=features.shape)
    values = {"sex": np.tile(np.arange(PEOPLE) % 2.0, 2)}
    fooled, honest = (
        _fitted(features, values, names) for names in (tuple(map(str, range(len(TWICE)))), TWICE)
    )
    assert float(honest.temperature) > 3.0 * float(fooled.temperature)
    # After as many right readings as there are people, not scans.
    assert float(honest.most_logit) == pytest.approx(np.log(PEOPLE + 1.0))


def _fitted(
    features: np.ndarray, values: dict[str, np.ndarray], subjects: tuple[str, ...]
) -> PhysicalPredictor:
    model = PhysicalFamily().build(("sex",), HIP_VIEW)
    fit_on_features(model, features, values, subjects)
    return model


def test_without_names_each_image_is_another_persons() -> None:
    data = TrainingData(torch.zeros(3, 2, *SMALL.shape), {}, SMALL)
    assert len(set(data.subjects)) == 3
    assert len(set(data.take([0, 0, 2]).subjects)) == 2


def test_names_go_with_the_images_taken_and_must_be_as_many() -> None:
    data = _noisy_hips(3)
    assert data.take([4, 0, 1]).take([0, 2]).subjects == ("person-1", "person-1")
    with pytest.raises(ValueError, match="6 images of 2 subjects"):
        replace(data, subjects=("a", "b"))
