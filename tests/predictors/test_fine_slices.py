"""A view of large, fine slices, as the source study's network had, is trained and exported."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from torch import Tensor

from qctkit.cohort import Record
from qctkit.networks import SliceEncoder
from qctkit.pipeline.simulate import simulate
from qctkit.pipeline.train import train_and_measure
from qctkit.predictors import onnx_export
from qctkit.predictors.configuration import read_configuration
from qctkit.predictors.network import network_families
from qctkit.predictors.onnx_export import export_predictor
from qctkit.predictors.trained import PredictorSet
from qctkit.predictors.training import TrainingSettings
from qctkit.progress import Silent
from qctkit.simulate import SimulationSettings

SLICES, SUBJECTS, BATCH = 8, 8, 5
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
    """A slice-wise network, its figures, and how many slices its encoder was given at once."""

    predictors: PredictorSet
    figures: Record
    slices_at_once: list[int]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("fine")
    (folder / "train.toml").write_text(CONFIGURATION)
    families = read_configuration(folder / "train.toml").chosen(network_families())
    coarse = SimulationSettings((5.0, 4.0, 4.0))
    cohort = simulate(folder / "real.h5", Silent(), subjects=SUBJECTS, settings=coarse)
    counts: list[int] = []
    forward = SliceEncoder.forward

    def counting(self: SliceEncoder, image: Tensor) -> Tensor:
        counts.append(len(image))
        return forward(self, image)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SliceEncoder, "forward", counting)
        found = train_and_measure(cohort, families, TrainingSettings(folds=2), Silent())
    return Trained(*found, counts)


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
