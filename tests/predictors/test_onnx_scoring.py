"""Scores of several predictors become one, on hardware that is said."""

import os
import pickle
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from qctkit.contracts import Role
from qctkit.errors import PredictorError
from qctkit.predictors.onnx_description import (
    Channel,
    Description,
    Estimate,
    Evidence,
    Sees,
)
from qctkit.predictors.onnx_loading import load_onnx, trial_images
from qctkit.predictors.onnx_scoring import (
    CUDA,
    Hardware,
    OnnxPredictor,
    Readings,
    combine,
    usable_cores,
)
from qctkit.predictors.skill import Response, Skill
from qctkit.view import View, spacing_of
from tests.predictors.third_party import SHAPE, hand_over, mean_density_model

VIEW = View(SHAPE, spacing_of(6.0))


def _reading(attribute: str, figures: dict[str, float] | None) -> OnnxPredictor:
    unit = "logit" if attribute == "sex" else "kg" if attribute == "weight_kg" else "years"
    skill = {} if figures is None else {attribute: Skill(9, figures, Response(1.0, 0.0, 1.0))}
    description = Description(
        "x", Role.LOOP, "x", (Estimate(attribute, unit, 0),), VIEW, (Channel.HU, Channel.FEMUR),
        Sees.WHOLE, "scan", "answer", skills=skill, evidence=Evidence.HELD_OUT,
    )  # fmt: skip
    return OnnxPredictor(mean_density_model(), description, Hardware(threads=1), "x")


def _one(value: float, spread: float = np.nan) -> Readings:
    return Readings(np.array([[value]]), np.array([[spread]]))


def test_readings_are_weighed_by_inverse_squared_error_and_the_spread_is_their_worst() -> None:
    good, poor = _reading("age_years", {"rmse": 5.0}), _reading("age_years", {"rmse": 10.0})
    found = combine([good, poor], [_one(60.0), _one(70.0)])["age_years"]
    assert found.values == pytest.approx([62.0])
    assert found.spreads == pytest.approx([0.8 * 5.0 + 0.2 * 10.0])


def test_a_predictor_can_go_to_a_worker_process() -> None:
    predictor = _reading("age_years", None)
    images = np.random.default_rng(0).normal(0.0, 200.0, (2, 2, *SHAPE)).astype(np.float32)
    sent = pickle.loads(pickle.dumps(predictor))
    np.testing.assert_array_equal(sent.score(images), predictor.score(images))


def test_sex_is_a_probability_weighed_by_accuracy_over_chance() -> None:
    good, chance = _reading("sex", {"accuracy": 1.0}), _reading("sex", {"accuracy": 0.5})
    found = combine([good, chance], [_one(2.0), _one(-2.0)])["sex"]
    high, low = 1 / (1 + np.exp(-2.0)), 1 / (1 + np.exp(2.0))
    assert found.values == pytest.approx([(0.5 * high + 0.01 * low) / 0.51])
    assert found.spreads is None


def test_what_was_not_measured_counts_only_alone_and_gives_no_interval() -> None:
    unknown, measured = _reading("weight_kg", None), _reading("weight_kg", {"rmse": 5.0})
    alone = combine([unknown], [_one(80.0)])["weight_kg"]
    assert (alone.values, alone.spreads) == (80.0, None)
    both = combine([unknown, measured], [_one(80.0), _one(60.0)])["weight_kg"]
    assert both.values == pytest.approx([60.0])


def test_a_spread_of_its_own_goes_before_the_error_on_unseen_subjects() -> None:
    own, plain = _reading("age_years", {"rmse": 5.0}), _reading("age_years", {"rmse": 5.0})
    found = combine([own, plain], [_one(60.0, 9.0), _one(60.0)])["age_years"]
    assert found.spreads == pytest.approx([(9.0 + 5.0) / 2])


def test_a_predictor_has_no_say_in_what_it_does_not_read() -> None:
    found = combine([_reading("age_years", {"rmse": 5.0})], [_one(60.0)])
    assert set(found) == {"age_years"}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch", ["n", 1])
def test_a_batch_reads_as_its_images_one_by_one(
    tmp_path: Path, threads: int, batch: int | str
) -> None:
    source = hand_over(tmp_path, mean_density_model(batch=batch))
    (found,) = load_onnx(source, Hardware(threads=threads))
    images = trial_images(VIEW, 7)
    singles = np.concatenate([found.score(one[None]) for one in images])
    np.testing.assert_allclose(found.score(images), singles, rtol=1e-5)
    assert found.threads == threads


def test_auto_says_what_it_took(tmp_path: Path) -> None:
    (found,) = load_onnx(hand_over(tmp_path), Hardware("auto"))
    assert found.provider in onnxruntime.get_available_providers()
    assert found.threads == usable_cores()


def test_a_gpu_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    if any(Path("/proc/driver/nvidia/gpus").glob("*")):
        pytest.skip("this machine has a GPU")
    with pytest.raises(PredictorError, match="--device cpu"):
        load_onnx(hand_over(tmp_path), Hardware("cuda"))


def test_a_gpu_that_is_there_is_used_when_asked_for(tmp_path: Path) -> None:
    if not any(Path("/proc/driver/nvidia/gpus").glob("*")):
        pytest.skip("this machine has no GPU")
    (found,) = load_onnx(hand_over(tmp_path), Hardware("cuda"))
    assert found.provider == CUDA


def test_cores_are_those_that_this_process_may_use() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)
    if hasattr(os, "sched_setaffinity"):
        allowed = os.sched_getaffinity(0)
        try:
            os.sched_setaffinity(0, {min(allowed)})
            assert usable_cores() == 1
        finally:
            os.sched_setaffinity(0, allowed)
