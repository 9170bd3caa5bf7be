"""The ONNX twin reads as PyTorch does, describes itself, and is the same every time."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from qctkit.contracts import Role
from qctkit.errors import PredictorError
from qctkit.predictors.density import DensityFamily
from qctkit.predictors.network import NetworkFamily, network_families
from qctkit.predictors.onnx_description import Description, Evidence, Sees
from qctkit.predictors.onnx_export import ExportCheck, export_predictor
from qctkit.predictors.onnx_loading import load_described, trial_images
from qctkit.predictors.onnx_scoring import Hardware
from qctkit.predictors.skill import Response, Skill
from qctkit.predictors.trained import TrainedPredictor
from qctkit.view import View
from qctkit.window import DEFAULT_WINDOW

TRAINING = {"cohort_fingerprint": "f" * 64, "versions": {"qctkit": "0.1.0"}}
SKILL = Skill(29, {"rmse": 6.0}, Response(0.6, 20.0, 5.0), 0.4)
ONE_THREAD = Hardware(threads=1)


def _predictor(
    module: nn.Module, view: View, name: str, attributes: tuple[str, ...] = ("age_years",)
) -> TrainedPredictor:
    skills = dict.fromkeys(attributes, SKILL)
    return TrainedPredictor(name, name, Role.LOOP, attributes, view, module, skills, {})


def _untrained(family: NetworkFamily | DensityFamily, view: View) -> TrainedPredictor:
    torch.manual_seed(0)
    module = family.build(family.attributes, view)
    if isinstance(family, DensityFamily):
        module.coefficients.copy_(torch.randn(module.coefficients.shape))
        module.mean.fill_(200.0)
        module.scale.fill_(100.0)
    return _predictor(module, view, family.name, family.attributes)


# The others are exported through the command line, in tests/cli.
FAMILIES = {
    one.name: one
    for one in (DensityFamily(), *network_families())
    if one.name in ("bone-density", "reader-network")
}


@pytest.fixture(scope="module", params=FAMILIES.values(), ids=FAMILIES)
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, small_view: View
) -> tuple[TrainedPredictor, Path, ExportCheck]:
    folder = tmp_path_factory.mktemp("onnx")
    predictor = _untrained(request.param, small_view)
    _, check = export_predictor(predictor, TRAINING, folder, licence="CC-BY-4.0")
    return predictor, folder / f"{predictor.name}.onnx", check


def test_a_twin_agrees_at_three_batch_sizes_and_two_sizes_of_view(
    exported: tuple[TrainedPredictor, Path, ExportCheck], small_view: View
) -> None:
    _, _, check = exported
    d, h, w = small_view.shape
    assert check.any_size
    assert [(one.batch, one.size) for one in check.parities] == [
        (1, (d, h, w)), (3, (d, h, w)), (8, (d, h, w)), (3, (d + 4, h + 4, w + 4)),
    ]  # fmt: skip
    assert all(one.relative_difference <= 1e-4 for one in check.parities)


def test_a_twin_is_scored_from_its_file_alone(
    exported: tuple[TrainedPredictor, Path, ExportCheck], tmp_path: Path
) -> None:
    predictor, path, _ = exported
    moved = tmp_path / "somewhere-else.onnx"
    moved.write_bytes(path.read_bytes())
    twin = load_described(moved, ONE_THREAD)
    images = trial_images(predictor.view, 5)
    wanted = predictor(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(twin.score(images), wanted, rtol=1e-4, atol=1e-4)
    assert twin.attributes == predictor.attributes


def test_a_file_says_what_it_reads_sees_and_comes_from(
    exported: tuple[TrainedPredictor, Path, ExportCheck],
) -> None:
    predictor, path, _ = exported
    model = onnx.load(path)
    told = {one.key: json.loads(one.value) for one in model.metadata_props}
    units = {"sex": "logit", "age_years": "years", "weight_kg": "kg"}
    assert [(one["attribute"], one["unit"]) for one in told["qctkit.estimates"]] == [
        (name, units[name]) for name in predictor.attributes
    ]
    assert told["qctkit.view"]["spacing_mm"] == list(predictor.view.spacing_mm)
    assert told["qctkit.view"]["window"] == {"low_hu": -1000.0, "high_hu": 1600.0}
    assert told["qctkit.sees"] == "femur-in-graph"
    assert told["qctkit.cohort_fingerprint"] == "f" * 64
    assert told["qctkit.trained_with"] == {"qctkit": "0.1.0"}
    assert told["qctkit.exported_with"]["torch"] == torch.__version__
    assert told["qctkit.licence"] == "CC-BY-4.0"
    onnx.checker.check_model(model, full_check=True)


def test_one_predictor_gives_the_same_bytes_and_no_path_of_ours(
    exported: tuple[TrainedPredictor, Path, ExportCheck], tmp_path: Path
) -> None:
    predictor, path, _ = exported
    export_predictor(predictor, TRAINING, tmp_path, licence="CC-BY-4.0")
    content = path.read_bytes()
    assert (tmp_path / path.name).read_bytes() == content
    assert str(Path(__file__).parents[2]).encode() not in content
    assert Path(torch.__file__).parent.as_posix().encode() not in content


def test_a_description_is_the_same_after_a_round_trip(
    exported: tuple[TrainedPredictor, Path, ExportCheck],
) -> None:
    description = load_described(exported[1], ONE_THREAD).description
    assert Description.from_metadata(description.metadata()) == description
    assert Description.from_record(json.loads(json.dumps(description.record()))) == description
    assert description.evidence is Evidence.HELD_OUT


def test_the_page_lists_every_key_of_the_metadata(
    exported: tuple[TrainedPredictor, Path, ExportCheck],
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "onnx.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"`(qctkit\.\w+)`", page))
    # Attributes that a plugin defined are there only where one is read, and gradients in graphs.
    known = {
        "qctkit.defines",
        "qctkit.gradient",
        *load_described(exported[1], ONE_THREAD).description.metadata(),
    }
    assert listed == known


class _Flat(nn.Module):
    """A network as wide as its view."""

    def __init__(self, view: View) -> None:
        super().__init__()
        self.layer = nn.Linear(int(np.prod(view.shape)), 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        estimates: torch.Tensor = self.layer(image[:, 0].flatten(1) / 1000.0)
        return estimates


def test_a_network_as_wide_as_its_view_is_exported_at_that_size_only(
    tmp_path: Path, small_view: View
) -> None:
    predictor = _predictor(_Flat(small_view), small_view, "flat")
    description, check = export_predictor(predictor, TRAINING, tmp_path)
    assert not check.any_size
    assert {one.size for one in check.parities} == {small_view.shape}
    assert description.sees is Sees.WHOLE


class _Drifting(_Flat):
    """Reads something else each time that it is asked."""

    asked = 0

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.asked += 1
        return super().forward(image) + 0.01 * self.asked


def test_a_twin_that_reads_something_else_is_refused(tmp_path: Path, small_view: View) -> None:
    predictor = _predictor(_Drifting(small_view), small_view, "drifting")
    with pytest.raises(PredictorError, match="not to be trusted"):
        export_predictor(predictor, TRAINING, tmp_path)


class _Sorting(_Flat):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.linalg.eigvals(image[:, 0, 0, :4, :4]).real[:, :1]


def test_a_module_that_onnx_cannot_express_is_refused_by_name(
    tmp_path: Path, small_view: View
) -> None:
    predictor = _predictor(_Sorting(small_view), small_view, "eigen")
    with pytest.raises(PredictorError, match="eigen cannot be exported"):
        export_predictor(predictor, TRAINING, tmp_path)


def test_skill_goes_with_the_file(exported: tuple[TrainedPredictor, Path, ExportCheck]) -> None:
    told = load_described(exported[1], ONE_THREAD).description
    assert told.skills == dict.fromkeys(told.attributes, SKILL)
    assert told.role is Role.LOOP


def test_a_changed_format_is_refused(
    exported: tuple[TrainedPredictor, Path, ExportCheck], tmp_path: Path
) -> None:
    model = onnx.load(exported[1])
    for one in model.metadata_props:
        if one.key == "qctkit.format":
            one.value = '"qctkit-onnx 99"'
    onnx.save(model, tmp_path / "later.onnx")
    with pytest.raises(PredictorError, match=r"later\.onnx.*qctkit-onnx 99"):
        load_described(tmp_path / "later.onnx", ONE_THREAD)


def test_a_file_with_one_spacing_for_all_axes_is_read(
    exported: tuple[TrainedPredictor, Path, ExportCheck], tmp_path: Path
) -> None:
    predictor, path, _ = exported
    model = onnx.load(path)
    for one in model.metadata_props:
        if one.key == "qctkit.view":
            one.value = json.dumps({**json.loads(one.value), "spacing_mm": 6.0})
    onnx.save(model, tmp_path / "earlier.onnx")
    assert load_described(tmp_path / "earlier.onnx", ONE_THREAD).description.view == predictor.view


SPOILT_SKILL = json.dumps(
    {"age_years": {**SKILL.record(), "figures": {"rmse": "small"}}, "sex": SKILL.record()}
)
SPOILT_VIEW = json.dumps(
    {"shape": [10**6] * 3, "spacing_mm": 3.0, "window": asdict(DEFAULT_WINDOW)}
)


@pytest.mark.parametrize(
    ("key", "value"), [("role", '"boss"'), ("estimates", "{"), ("view", "{}"), ("skills", "[1]"),
                       ("estimates", '[{"attribute": "height", "unit": "cm", "column": 0}]'),
                       ("estimates", '[{"attribute": "sex", "unit": "logit", "column": -1}]'),
                       ("estimates", "[]"), ("name", '"../../x"'), ("skills", SPOILT_SKILL),
                       ("view", SPOILT_VIEW)],
)  # fmt: skip
def test_a_damaged_description_is_a_predictor_error(
    exported: tuple[TrainedPredictor, Path, ExportCheck], tmp_path: Path, key: str, value: str
) -> None:
    model = onnx.load(exported[1])
    for one in model.metadata_props:
        if one.key == f"qctkit.{key}":
            one.value = value
    onnx.save(model, tmp_path / "damaged.onnx")
    with pytest.raises(PredictorError, match=r"damaged\.onnx: its description is damaged"):
        load_described(tmp_path / "damaged.onnx", ONE_THREAD)
