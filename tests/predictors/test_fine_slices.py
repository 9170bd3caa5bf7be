"""A view of large, fine slices, as the source study's network had, is trained and exported."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from qctkit.cohort import Record
from qctkit.contracts import PredictorFamily
from qctkit.networks import SliceEncoder
from qctkit.pipeline.train import train_and_measure
from qctkit.predictors import onnx_export
from qctkit.predictors.configuration import read_configuration
from qctkit.predictors.network import network_families
from qctkit.predictors.onnx_description import Description
from qctkit.predictors.onnx_export import export_predictor
from qctkit.predictors.onnx_loading import load_described, trial_images
from qctkit.predictors.onnx_scoring import SLICES_AT_ONCE, Hardware, OnnxPredictor
from qctkit.predictors.trained import PredictorSet, TrainedPredictor, load_predictors
from qctkit.predictors.training import TrainingSettings
from qctkit.progress import Silent
from qctkit.store.reader import CohortFile

SLICES, SUBJECTS, BATCH = 8, 8, 5
ONE_THREAD = Hardware(threads=1)
CONFIGURATION = f"""
families = ["slice-network"]
[network.slice-network]
view_shape = [{SLICES}, 64, 64]
view_spacing_mm = [8.0, 2.0, 2.0]
epochs = 1
batch = {BATCH}
"""


@dataclass(frozen=True)
class Trained:
    """A slice-wise network, its origin and figures, and how many slices were read at once."""

    cohort: CohortFile
    families: tuple[PredictorFamily, ...]
    predictors: PredictorSet
    figures: Record
    slices_at_once: list[int]


@pytest.fixture(scope="module")
def trained(coarse_cohort: CohortFile, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("fine")
    (folder / "train.toml").write_text(CONFIGURATION)
    families = read_configuration(folder / "train.toml").chosen(network_families())
    counts: list[int] = []
    forward = SliceEncoder.forward

    def counting(self: SliceEncoder, image: Tensor) -> Tensor:
        counts.append(len(image))
        return forward(self, image)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SliceEncoder, "forward", counting)
        found = train_and_measure(coarse_cohort, families, TrainingSettings(folds=2), Silent())
    return Trained(coarse_cohort, families, *found, counts)


@dataclass(frozen=True)
class Exported:
    """That network after it was saved and loaded, what its file says, and its twin."""

    loaded: TrainedPredictor
    description: Description
    twin: OnnxPredictor


@pytest.fixture(scope="module")
def exported(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("exported")
    known = {one.name: one for one in network_families()}
    trained.predictors.save(folder)
    (loaded,) = load_predictors(folder, known.__getitem__).predictors
    description, _ = export_predictor(loaded, {}, folder)
    twin = load_described(folder / "slice-network.onnx", ONE_THREAD)
    return Exported(loaded, description, twin)


def test_no_more_slices_than_a_batch_or_a_subject_has_are_read_at_once(trained: Trained) -> None:
    assert max(trained.slices_at_once) == max(SLICES, BATCH)
    readings = trained.figures["per_slice"]["slice-network"]["sex"]["readings"]
    assert readings == SLICES * SUBJECTS


def test_a_view_too_large_for_batches_is_compared_in_those_there_is_room_for(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Room for three views, but not for three that are larger by four points along each axis.
    monkeypatch.setattr(onnx_export, "PARITY_POINTS", 3 * SLICES * 64 * 64)
    predictor = trained.predictors.named("slice-network")
    _, check = export_predictor(predictor, {}, tmp_path)
    compared = [(one.batch, one.size) for one in check.parities]
    assert compared == [(1, (8, 64, 64)), (3, (8, 64, 64)), (1, (12, 68, 68))]


def test_a_view_of_fine_slices_keeps_its_spacing_in_predictors_and_onnx(
    exported: Exported,
) -> None:
    twin = exported.twin.description
    for view in (exported.loaded.view, exported.description.view, twin.view):
        assert (view.shape, view.spacing_mm) == ((SLICES, 64, 64), (8.0, 2.0, 2.0))


@pytest.mark.parametrize("slices", [4, 8, 9, 19])
def test_onnx_reads_any_number_of_slices_a_few_at_a_time_as_pytorch_reads_all(
    trained: Trained,
    exported: Exported,
    slices: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predictor, twin = trained.predictors.named("slice-network"), exported.twin
    images = trial_images(replace(predictor.view, shape=(slices, 64, 64)), 2)
    images[:, 1, : slices // 2] *= 0.1
    wanted = predictor.module(torch.from_numpy(images)).detach().numpy()
    given: list[int] = []
    run = OnnxPredictor._run

    def counting(self: OnnxPredictor, fed: np.ndarray) -> np.ndarray:
        given.append(fed.shape[2])
        return run(self, fed)

    monkeypatch.setattr(OnnxPredictor, "_run", counting)
    np.testing.assert_allclose(twin.score(images), wanted, rtol=1e-4, atol=1e-4)
    assert sum(given) == slices
    assert max(given) <= SLICES_AT_ONCE


def test_a_view_without_femur_is_read_as_a_number(trained: Trained, exported: Exported) -> None:
    predictor, twin = trained.predictors.named("slice-network"), exported.twin
    images = np.zeros((1, 2, SLICES, 64, 64), dtype=np.float32)
    found = twin.score(images)
    np.testing.assert_array_equal(found, predictor(torch.from_numpy(images)).numpy())


def test_views_that_a_killed_run_left_are_replaced_and_none_stay(
    trained: Trained, tmp_path: Path
) -> None:
    views = tmp_path / ".predictors.views"
    views.mkdir()
    (views / "view-0.f16").write_bytes(b"left over")
    predictors, _ = train_and_measure(
        trained.cohort, trained.families, TrainingSettings(folds=2), Silent(), views_folder=views
    )
    assert not views.exists()
    again = predictors.named("slice-network").module.state_dict()
    for name, values in trained.predictors.named("slice-network").module.state_dict().items():
        assert torch.equal(values, again[name])
