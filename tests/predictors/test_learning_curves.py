"""Losses by epoch are noted and decide nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from qctkit.contracts import TrainingData
from qctkit.networks import Schedule
from qctkit.predictors.fit_store import Fit, FitStore
from qctkit.predictors.network import NetworkFamily, network_families
from qctkit.view import View, spacing_of

COARSE = View((12, 8, 12), spacing_of(9.0))
NETWORKS = {one.name: one for one in network_families()}


@pytest.fixture(scope="module")
def data() -> TrainingData:
    age_years = torch.linspace(40.0, 80.0, 6)
    images = torch.ones((6, 2, *COARSE.shape))
    images[:, 0] *= 10.0 * age_years[:, None, None, None]
    sex = torch.tensor([0.0, 1.0] * 3)
    values = {"sex": sex, "age_years": age_years, "weight_kg": 130.0 - age_years}
    return TrainingData(images, values, COARSE)


def family(name: str, epochs: int = 3) -> NetworkFamily:
    return replace(NETWORKS[name], schedule=Schedule(epochs=epochs), members=2, view=COARSE)


@pytest.mark.parametrize("name", ["age-weight-network", "slice-network"])
def test_watching_held_out_subjects_changes_no_weight(data: TrainingData, name: str) -> None:
    one = family(name)
    kept, held_out = data.take([0, 1, 2, 3]), data.take([4, 5])
    plain = one.fit(kept, one.attributes, 0).state_dict()
    watched = one.fit(kept, one.attributes, 0, held_out)
    assert all(torch.equal(plain[key], value) for key, value in watched.state_dict().items())
    assert [np.array(curve).shape for curve in watched.curves] == [(3, 2)] * 2
    assert np.isfinite(watched.curves).all()


def test_nothing_is_noted_of_subjects_that_are_not_given(data: TrainingData) -> None:
    one = family("age-weight-network")
    (curve, _) = one.fit(data, one.attributes, 0).curves
    assert np.isnan(np.array(curve)[:, 1]).all()


def test_what_is_learned_from_is_learned(data: TrainingData) -> None:
    one = family("age-weight-network", epochs=40)
    losses = np.array(one.fit(data, one.attributes, 0).curves[0])[:, 0]
    assert losses[-5:].mean() < 0.7 * losses[:5].mean()


def test_curves_of_a_kept_fit_come_back_in_the_order_of_members(tmp_path: Path) -> None:
    curves = [np.full((2, 2), float(member)) for member in range(11)]
    store = FitStore(tmp_path, {"cohort": "a"}, resume=False)
    store.keep(0, Fit({"w": torch.ones(2)}, np.zeros((1, 1)), np.zeros(1), curves))
    kept = store.load(0)
    assert kept is not None
    assert list(kept.weights) == ["w"]
    assert [float(curve[0, 0]) for curve in kept.curves] == list(range(11))
