"""A ridge on coarse voxels, of hips whose fat, size and density follow weight, sex and age."""

import numpy as np
import pytest
import torch
from torch import Tensor

from qctkit.contracts import Role, TrainingData
from qctkit.predictors.voxel_ridge import VoxelRidge, VoxelRidgeFamily
from tests.engine.hips import VIEW, hip

NAMES = ("sex", "age_years", "weight_kg")
TAUGHT, UNSEEN = 29, 30


def _people(count: int, seed: int) -> TrainingData:
    draw = np.random.default_rng(seed)
    sex = draw.integers(0, 2, count).astype(float)
    age, weight = draw.uniform(40.0, 90.0, count), draw.normal(72.0, 10.0, count)
    hips = [
        hip(
            size=1.0 + 0.1 * s + 0.03 * draw.normal(),
            bone_hu=400.0 - 3.0 * (a - 60.0) + 20.0 * draw.normal(),
            muscle_mm=24.0 + 0.25 * (w - 72.0) + 0.5 * draw.normal(),
        )
        for s, a, w in zip(sex, age, weight, strict=True)
    ]
    values = dict(zip(NAMES, map(torch.from_numpy, (sex, age, weight)), strict=True))
    floats = {name: one.float() for name, one in values.items()}
    return TrainingData(torch.stack(hips), floats, VIEW)


@pytest.fixture(scope="module")
def taught() -> TrainingData:
    return _people(TAUGHT, seed=0)


@pytest.fixture(scope="module")
def unseen() -> TrainingData:
    return _people(UNSEEN, seed=1)


@pytest.fixture(scope="module")
def model(taught: TrainingData) -> VoxelRidge:
    return VoxelRidgeFamily().fit(taught, NAMES, seed=0)


def _read(model: VoxelRidge, data: TrainingData) -> Tensor:
    with torch.no_grad():
        return model(data.images[:])


def test_it_stays_outside_the_loop() -> None:
    assert VoxelRidgeFamily().role is Role.READER


def test_it_reads_planted_attributes_of_the_unseen(model: VoxelRidge, unseen: TrainingData) -> None:
    sex, age, weight = _read(model, unseen).unbind(dim=1)
    true = unseen.values
    assert ((sex > 0.0) == (true["sex"] > 0.5)).float().mean() > 0.9
    assert torch.corrcoef(torch.stack([age, true["age_years"]]))[0, 1] > 0.9
    assert torch.corrcoef(torch.stack([weight, true["weight_kg"]]))[0, 1] > 0.9


def test_its_probabilities_of_sex_are_better_than_its_bare_answers(
    model: VoxelRidge, unseen: TrainingData
) -> None:
    logit, male = _read(model, unseen)[:, 0], unseen.values["sex"] > 0.5
    loss = torch.nn.functional.softplus(torch.where(male, -logit, logit)).mean()
    assert loss < 0.4  # a coin has 0.69


def test_an_attribute_that_few_know_is_learned_of_those(
    taught: TrainingData, model: VoxelRidge
) -> None:
    weight = taught.values["weight_kg"].clone()
    weight[20:] = torch.nan
    fewer = TrainingData(taught.images, {**taught.values, "weight_kg": weight}, VIEW)
    partly = VoxelRidgeFamily().fit(fewer, NAMES, seed=0)
    assert torch.equal(partly.weights[:, :2], model.weights[:, :2])
    assert partly.weights.isfinite().all()
    assert not torch.equal(partly.weights[:, 2], model.weights[:, 2])


def test_of_noise_it_learns_the_mean(taught: TrainingData) -> None:
    shuffled = taught.values["age_years"][
        torch.randperm(TAUGHT, generator=torch.Generator().manual_seed(1))
    ]
    read = _read(
        VoxelRidgeFamily().fit(
            TrainingData(taught.images, {"age_years": shuffled}, VIEW), ("age_years",), seed=0
        ),
        taught,
    )[:, 0]
    assert read.std() < 0.6 * shuffled.std()


def test_a_view_smaller_than_a_block_is_one_block() -> None:
    assert VoxelRidge(NAMES, VIEW).weights.shape[0] % 3 == 0
