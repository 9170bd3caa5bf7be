"""An ONNX file and a description, where a family of predictors is expected."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from qctkit.contracts import Role
from qctkit.errors import PredictorError
from qctkit.pipeline.export import export
from qctkit.pipeline.train import save_predictors, train
from qctkit.predictors.density import DensityFamily
from qctkit.predictors.onnx_family import OnnxFamily
from qctkit.predictors.onnx_loading import EXPORTED, trial_images
from qctkit.predictors.trained import PredictorSet, load_predictors
from qctkit.predictors.training import TrainingSettings
from qctkit.progress import Silent
from qctkit.store.reader import CohortFile
from qctkit.testing import PredictorContract
from qctkit.view import View, spacing_of
from tests.predictors.third_party import SHAPE, TOML, hand_over, mean_density_model

IMAGES = torch.from_numpy(trial_images(View(SHAPE, spacing_of(6.0)), 2))


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> OnnxFamily:
    return OnnxFamily(hand_over(tmp_path_factory.mktemp("theirs")))


@pytest.fixture(scope="module")
def trained(coarse_cohort: CohortFile, family: OnnxFamily) -> PredictorSet:
    return train(coarse_cohort, [family], TrainingSettings(folds=2), Silent())


@pytest.fixture(scope="class")
def contract(request: pytest.FixtureRequest, family: OnnxFamily) -> None:
    request.cls.component = family


@pytest.mark.usefixtures("contract")
class TestOnnxFamily(PredictorContract):
    pass


def test_it_reads_the_attributes_asked_for_in_the_order_asked_for(family: OnnxFamily) -> None:
    both = family.build(("age_years", "sex"), family.view)(IMAGES)
    turned = family.build(("sex", "age_years"), family.view)(IMAGES)
    assert torch.equal(both, turned.flip(1))
    assert torch.equal(family.build(("sex",), family.view)(IMAGES), both[:, 1:])


def test_its_weights_are_its_file(tmp_path: Path, family: OnnxFamily) -> None:
    other_model = mean_density_model()
    for tensor in other_model.graph.initializer:
        if tensor.name == "shifts":
            tensor.raw_data = torch.tensor([480.0, -3.0]).numpy().tobytes()
    other = OnnxFamily(hand_over(tmp_path, other_model)).build(("age_years",), family.view)
    module = family.build(("age_years",), family.view)
    before = module(IMAGES)
    module.load_state_dict(other.state_dict())
    torch.testing.assert_close(module(IMAGES), before - 30.0)  # 360 months


def test_its_repr_tells_models_apart_and_not_where_they_lie(
    tmp_path: Path, family: OnnxFamily
) -> None:
    again = OnnxFamily(hand_over(tmp_path / "elsewhere"))
    other = OnnxFamily(hand_over(tmp_path / "other", toml=TOML.replace("months", "years")))
    assert repr(again) == repr(family) == repr(pickle.loads(pickle.dumps(family)))
    assert repr(other) != repr(family)
    assert str(tmp_path) not in repr(again)


def test_trained_saved_and_loaded_it_reads_the_same_without_its_first_file(
    tmp_path: Path, trained: PredictorSet, family: OnnxFamily
) -> None:
    (one,) = trained.predictors
    assert one.role is Role.READER
    assert set(one.skills) == {"sex", "age_years"}
    save_predictors(trained, tmp_path / "predictors", overwrite=False)
    (again,) = load_predictors(tmp_path / "predictors", lambda _: family).predictors
    assert torch.equal(again(IMAGES), one(IMAGES))


def test_its_export_says_that_its_skill_may_be_too_good(
    tmp_path: Path, trained: PredictorSet
) -> None:
    export(trained, tmp_path / "onnx", Silent())
    (told,) = json.loads((tmp_path / "onnx" / EXPORTED).read_text())["predictors"]
    assert set(told["skills"]) == {"sex", "age_years"}
    assert told["evidence"] == "subjects of a cohort, of which it may have been trained on some"


def test_on_the_cohort_of_its_own_training_it_is_refused(
    tmp_path: Path, coarse_cohort: CohortFile
) -> None:
    trained = train(coarse_cohort, [DensityFamily()], TrainingSettings(folds=2), Silent())
    export(trained, tmp_path / "onnx", Silent())
    toml = TOML.replace('"scan"', '"image"').replace('"answer"', '"estimates"')
    toml = toml.replace("months", "years").replace("probability", "logit")
    toml = toml.replace("[20, 16, 16]", "[36, 28, 36]").replace("6.0", "3.0")
    toml = toml.replace('"model.onnx"', '"bone-density.onnx"')
    path = tmp_path / "onnx" / "theirs.toml"
    path.write_text(toml)
    with pytest.raises(PredictorError, match="their-model was trained on this very cohort"):
        train(coarse_cohort, [OnnxFamily(path)], TrainingSettings(folds=2), Silent())
    elsewhere = replace(OnnxFamily(path))
    assert elsewhere.trained_on == coarse_cohort.fingerprint
