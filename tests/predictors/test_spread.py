"""A standard deviation of its own for each subject: what it follows, and that it is honest."""

from pathlib import Path

import numpy as np
import pytest
import torch

from qctkit.cohort import Sample
from qctkit.predictors.density import DensityFamily
from qctkit.predictors.metrics import spread_figures
from qctkit.predictors.onnx_export import export_predictor
from qctkit.predictors.onnx_loading import load_described, trial_images
from qctkit.predictors.onnx_scoring import Hardware
from qctkit.predictors.spread import (
    Leverage,
    Spread,
    held_out_spreads,
    honest_factor,
    variance_shape,
)
from qctkit.predictors.trained import TrainedPredictor
from qctkit.predictors.training import TrainingSettings, see_cohort, train_predictors
from qctkit.view import View


@pytest.fixture(scope="module")
def dense(
    people: tuple[Sample, ...], small_view: View, tmp_path_factory: pytest.TempPathFactory
) -> TrainedPredictor:
    seen = see_cohort(people, tmp_path_factory.mktemp("views"), small_view)
    family = DensityFamily(view=small_view)
    trained = train_predictors(seen, [family], TrainingSettings(folds=3), {}, lambda _: None)
    return trained.named("bone-density")


def _features(count: int = 40) -> torch.Tensor:
    return 50.0 + 10.0 * torch.randn(count, 3, generator=torch.Generator().manual_seed(0))


def test_leverage_is_least_amid_the_subjects_and_finite_however_far_away() -> None:
    leverage, features = Leverage(3), _features()
    leverage.learn(features)
    amid, near, far, farther = leverage(torch.tensor([50.0, 60.0, 90.0, 1e6])[:, None].expand(4, 3))
    assert 1 / 40 <= amid < near < far < farther
    assert farther < 3 * 5.0**2 / 30.0


def test_a_spread_grows_with_leverage_and_that_of_weight_with_the_weight_read() -> None:
    spread = Spread(("sex", "age_years", "weight_kg"), 3)
    assert spread.leverage is not None
    spread.leverage.learn(_features())
    spread.factors.fill_(2.0)
    amid, far = torch.full((1, 3), 50.0), torch.full((1, 3), 90.0)
    light, heavy = torch.tensor([[0.0, 60.0, 50.0]]), torch.tensor([[0.0, 60.0, 100.0]])
    assert (spread(light, far) > spread(light, amid)).all()
    (age, weight), (same, more) = spread(light, amid)[0], spread(heavy, amid)[0]
    assert same == age
    assert float(more / weight) == pytest.approx(np.sqrt(2.0))


def test_the_factor_makes_planted_errors_honest_and_unknown_values_do_not_count() -> None:
    generator = np.random.default_rng(0)
    shape = generator.uniform(1.0, 4.0, 4000)
    true = np.full(4000, 60.0)
    read = true + 7.0 * np.sqrt(shape) * generator.standard_normal(4000)
    assert honest_factor(true, read, shape) == pytest.approx(7.0, rel=0.03)
    true[:2000] = np.nan
    assert honest_factor(true, read, shape) == pytest.approx(7.0, rel=0.05)


def test_variance_of_weight_is_in_proportion_to_the_weight_read() -> None:
    shape = variance_shape("weight_kg", np.array([50.0, 100.0, -3.0]), np.zeros(3))
    assert shape.tolist() == [50.0, 100.0, 1.0]
    assert variance_shape("age_years", np.array([50.0]), np.array([0.5])).tolist() == [1.5]


def test_a_held_out_subjects_own_error_does_not_decide_its_spread() -> None:
    true, shape = np.full(6, 50.0), np.ones(6)
    read = 50.0 + np.array([1.0, -1.0, 1.0, -1.0, 30.0, 30.0])
    spreads = held_out_spreads(true, read, shape, ["a", "b", "c", "d", "hips", "hips"])
    assert spreads[4] == spreads[5] == pytest.approx(np.sqrt(4.0 / 2.0))
    assert (spreads[:4] > 10.0).all()


def test_intervals_of_honest_spreads_hold_what_they_promise() -> None:
    generator = np.random.default_rng(0)
    spread = generator.uniform(1.0, 9.0, 2000)
    true = np.full(2000, 60.0)
    read = true + spread * generator.standard_normal(2000)
    figures = spread_figures(true, read, spread, [str(i) for i in range(2000)])
    for name, share in (("within_68", 0.68), ("within_95", 0.95)):
        assert figures[name]["low"] <= share <= figures[name]["high"]
    assert figures["mean_spread"]["value"] == pytest.approx(5.0, abs=0.2)


def test_a_trained_predictor_is_less_sure_of_a_femur_unlike_all(
    dense: TrainedPredictor, people: tuple[Sample, ...], small_view: View, tmp_path: Path
) -> None:
    images = see_cohort(people[:2], tmp_path, small_view).data.images[:]
    odd = images.clone()
    odd[:, 0] = 3000.0 - odd[:, 0]
    age = len(dense.attributes)
    known, unlike = dense.answering(images)[:, age], dense.answering(odd)[:, age]
    assert (unlike > known).all()
    assert (known > 0).all()


def test_onnx_gives_the_same_spreads(dense: TrainedPredictor, tmp_path: Path) -> None:
    _, check = export_predictor(dense, {}, tmp_path)
    assert all(one.relative_difference <= 1e-4 for one in check.parities)
    twin = load_described(tmp_path / "bone-density.onnx", Hardware(threads=1))
    images = trial_images(dense.view, 3)
    spreads = twin.read(images).spreads
    wanted = dense.answering(torch.from_numpy(images))[:, len(dense.attributes) :].numpy()
    assert np.isnan(spreads[:, dense.attributes.index("sex")]).all()
    np.testing.assert_allclose(spreads[:, 1:], wanted, rtol=1e-4)
