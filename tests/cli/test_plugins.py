"""``qctkit plugins`` and plugins on the command line, with planted distributions."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qctkit.subject import ATTRIBUTES

Plant = Callable[..., None]

GOOD = '''
import click
from qctkit.plugin import hookimpl

QCTKIT_API = "1.0"

@hookimpl
def register_commands():
    @click.command("greet")
    def greet():
        """Say hello."""
        click.echo("hello")

    @click.command("fall")
    def fall():
        """Fall over."""
        raise KeyError("missing key")

    @click.command("train")
    def train():
        """Take a built-in's place."""
        click.echo("stolen")

    return (greet, fall, train)
'''
VALIDATOR = '''
from qctkit.plugin import Verdict, hookimpl

QCTKIT_API = "1.0"

class Silent:
    """Says nothing."""
    name = "silent"
    def judge(self, candidate, reference):
        return Verdict("silent", True, {}, "")

@hookimpl
def register_validators():
    return (Silent(),)
'''

STATURE = '''
from dataclasses import dataclass, field

import torch
from qctkit.plugin import Attribute, Role, View, hookimpl

QCTKIT_API = "1.0"

class Constant(torch.nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.register_buffer("value", torch.zeros(outputs))
    def forward(self, image):
        return self.value + 0.0 * image.mean(dim=(1, 2, 3, 4))[:, None]

@dataclass(frozen=True)
class Mean:
    """Reads the mean."""
    name: str = "mean-height"
    role: Role = Role.READER
    attributes: tuple = ("height_cm",)
    view: View = field(default_factory=lambda: View((8, 8, 8), (12.0, 12.0, 12.0)))
    falls_over: bool = False
    on_request: bool = True
    def build(self, attributes, view):
        return Constant(len(attributes))
    def fit(self, data, attributes, seed):
        if self.falls_over:
            raise RuntimeError("no idea")
        module = self.build(attributes, data.view)
        for column, name in enumerate(attributes):
            module.value[column] = data.values[name].nanmean()
        return module.eval()

@hookimpl
def register_attributes():
    return (Attribute("height_cm", "continuous", "cm", 50.0, 250.0),)

@hookimpl
def register_predictors():
    return (Mean(), Mean(name="fallen-height", falls_over=True))
'''


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Install a distribution of one module."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def plant(name: str, module: str, distribution: str | None = None) -> None:
        distribution = distribution or f"{name}-distribution"
        target = distribution.replace("-", "_")
        (tmp_path / f"{target}.py").write_text(module)
        info = tmp_path / f"{target}-2.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 2.5\nSummary: Planted.\n"
        )
        (info / "entry_points.txt").write_text(f"[qctkit]\n{name} = {target}\n")
        monkeypatch.delitem(sys.modules, target, raising=False)

    return plant


def test_a_broken_plugin_is_listed_with_its_reason_and_that_is_no_error(
    qctkit: Callable[..., Any], plant: Plant
) -> None:
    plant("broken", "import no_such_module_at_all")
    plant("good", GOOD)
    ended = qctkit("plugins", "list")
    assert ended.code == 0
    assert (
        "broken (broken-distribution 2.5): broken: ModuleNotFoundError: No module named "
        "'no_such_module_at_all'"
    ) in ended.out
    assert "good (good-distribution 2.5): loaded" in ended.out
    assert "registers commands fall, greet, train" in ended.out


def test_the_list_for_scripts_holds_state_origin_and_components(
    qctkit: Callable[..., Any], plant: Plant
) -> None:
    plant("good", GOOD)
    plant("broken", "1 / 0")
    listed = {one["name"]: one for one in json.loads(qctkit("plugins", "list", "--json").out)}
    assert listed["good"]["registers"] == {"commands": ["fall", "greet", "train"]}
    assert listed["good"]["about"] == "Planted."
    assert listed["broken"]["problem"] == "ZeroDivisionError: division by zero"
    assert listed["femur-density"]["state"] == "loaded"


def test_a_clash_is_listed_with_both_distributions(
    qctkit: Callable[..., Any], plant: Plant
) -> None:
    plant("one", VALIDATOR)
    plant("two", VALIDATOR)
    ended = qctkit("plugins", "list")
    assert ended.code == 0
    clash = (
        "validator 'silent' is registered by both one (one-distribution 2.5) and two "
        "(two-distribution 2.5)"
    )
    assert ended.out.count(f"broken: {clash}") == 2
    assert "one: broken" in qctkit("plugins", "show", "one").out


def test_other_commands_tell_of_a_broken_plugin_once_and_go_on(
    qctkit: Callable[..., Any], plant: Plant
) -> None:
    plant("broken", "1 / 0")
    ended = qctkit("greet")
    assert ended.code == 2
    assert ended.err.count("plugin broken (broken-distribution 2.5) is broken") == 1


def test_a_plugin_adds_a_command(qctkit: Callable[..., Any], plant: Plant) -> None:
    plant("good", GOOD)
    assert qctkit("greet").out == "hello\n"
    shown = qctkit("--help").out
    assert "Commands of plugins" in shown
    assert "Say hello." in shown


def test_a_plugins_command_does_not_take_a_built_ins_place(
    qctkit: Callable[..., Any], plant: Plant
) -> None:
    plant("good", GOOD)
    assert "Take a built-in's place" not in qctkit("--help").out
    assert "Train predictors" in qctkit("train", "--help").out


def test_what_a_plugins_command_raises_is_an_error_that_names_it(
    qctkit: Callable[..., Any], plant: Plant
) -> None:
    plant("good", GOOD)
    ended = qctkit("fall")
    assert ended.code == 2
    assert "plugin good (good-distribution 2.5) failed: command fall" in ended.err
    assert "KeyError" in ended.err


@pytest.mark.parametrize("way", ["option", "variable"])
def test_no_plugins_loads_none(
    qctkit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way == "variable":
        monkeypatch.setenv("QCTKIT_PLUGINS", "")
    option = ["--no-plugins"] if way == "option" else []
    assert (
        "femur-density (qctkit-femur-density 0.1.0): disabled"
        in qctkit(*option, "plugins", "list").out
    )
    ended = qctkit(*option, "augment", "--plugin", "femur-density")
    assert ended.code == 2
    assert "disabled plugins: femur-density" in ended.err


def test_help_without_plugins_does_not_import_them(
    qctkit: Callable[..., Any], plant: Plant
) -> None:
    plant("good", GOOD)
    assert "greet" not in qctkit("--no-plugins", "--help").out


def test_show_tells_what_a_plugin_is(qctkit: Callable[..., Any]) -> None:
    ended = qctkit("plugins", "show", "femur-density")
    assert ended.code == 0
    assert "distribution  qctkit-femur-density" in ended.out
    assert "recipes       femur-density: changes the density" in ended.out


def test_check_ends_with_code_1_where_a_promise_is_not_kept(
    qctkit: Callable[..., Any], plant: Plant
) -> None:
    plant("silent", VALIDATOR)
    ended = qctkit("plugins", "check", "silent")
    assert ended.code == 1
    assert "BROKEN    silent: The words say what was found" in ended.out
    assert "1 not kept" in ended.out


def test_check_refuses_what_cannot_be_checked(qctkit: Callable[..., Any], plant: Plant) -> None:
    plant("broken", "1 / 0")
    assert "is broken ZeroDivisionError" in qctkit("plugins", "check", "broken").err
    assert "did you mean 'femur-density'" in qctkit("plugins", "check", "femur-densty").err
    assert qctkit("plugins", "check", "nowhere").code == 2


def test_check_for_scripts_is_json(qctkit: Callable[..., Any]) -> None:
    ended = qctkit("plugins", "check", "femur-density", "--json")
    assert ended.code == 0
    records = json.loads(ended.out)
    assert {one["component"] for one in records} == {"femur-density"}
    assert all(one["passed"] for one in records)


def test_new_refuses_the_name_of_a_built_in(
    qctkit: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = qctkit("plugins", "new", "structure", "--kind", "validator")
    assert ended.code == 2
    assert "there is a validator 'structure' already" in ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_family_is_trained_beside_the_others_where_it_is_named(
    qctkit: Callable[..., Any], real: Path, tmp_path: Path
) -> None:
    config = tmp_path / "train.toml"
    config.write_text('families = ["bone-density"]\n')
    ended = qctkit(
        "train", real, "-o", tmp_path / "out", "--config", config, "--also", "physical-features",
        "--also", "bone-density", "--folds", "2", "--workers", "1",
    )  # fmt: skip
    assert ended.code == 0
    assert "training bone-density, physical-features on the CPU" in ended.err
    assert qctkit("train", real, "-o", tmp_path / "x", "--also", "bone-densty").code == 2


@pytest.fixture
def tall(
    qctkit: Callable[..., Any],
    plant: Plant,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A simulated cohort with heights, where one plugin alone registers them."""
    monkeypatch.setenv("QCTKIT_PLUGINS", "stature")
    plant("stature", STATURE)
    path = tmp_path / "tall.h5"
    simulated = qctkit(
        "simulate", "-o", path, "--subjects", "6", "--spacing-mm", "6", "5", "5", "--also",
        "height_cm",
    )  # fmt: skip
    assert simulated.code == 0
    return path


def test_a_plugins_fit_that_fails_is_named_and_the_others_are_trained(
    qctkit: Callable[..., Any], tall: Path, tmp_path: Path
) -> None:
    config = tmp_path / "train.toml"
    config.write_text('families = ["bone-density", "mean-height", "fallen-height"]\n')
    out = tmp_path / "out"
    options = ("--config", config, "--folds", "2", "--workers", "1")
    ended = qctkit("train", tall, "-o", out, *options)
    assert ended.code == 1
    failed = (
        "plugin stature (stature-distribution 2.5) failed: predictor fallen-height, fit of "
        "height_cm to 3 samples, 3 held out: RuntimeError: no idea"
    )
    assert ended.err.count(failed) == 1
    assert "mean-height          reader  height_cm  error" in ended.out
    assert "fallen-height" not in ended.out
    named = json.loads((out / "predictors.json").read_text())
    assert [one["name"] for one in named["predictors"]] == ["bone-density", "mean-height"]
    assert "<h2>Height</h2>" in (out / "report.html").read_text(encoding="utf-8")


def test_an_attribute_is_kept_and_read_where_its_plugin_is_missing(
    qctkit: Callable[..., Any], tall: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "train.toml"
    config.write_text('families = ["mean-height"]\n')
    out, onnx = tmp_path / "out", tmp_path / "onnx"
    trained = qctkit("train", tall, "-o", out, "--config", config, "--folds", "2", "--workers", "1")
    assert trained.code == 0
    assert qctkit("export", out, "-o", onnx).code == 0
    monkeypatch.setenv("QCTKIT_PLUGINS", "")
    monkeypatch.delitem(ATTRIBUTES, "height_cm")
    shown = qctkit("info", tall).out
    assert "cm; no plugin here registers it, it is kept as it is" in shown
    monkeypatch.delitem(ATTRIBUTES, "height_cm")
    read = json.loads(qctkit("predict", tall, "--predictors", onnx, "--json").out)
    assert all(150.0 < one["height_cm"] < 185.0 for one in read)
    assert {"age_years", "height_cm_spread"} <= set(read[0])


def test_a_simulator_that_cannot_tell_an_attribute_says_what_it_can(
    qctkit: Callable[..., Any], plant: Plant, tmp_path: Path
) -> None:
    unknown = qctkit("simulate", "-o", tmp_path / "x.h5", "--also", "shoe_size")
    assert "no attribute is called 'shoe_size'" in unknown.err
    plant("shoes", STATURE.replace("height_cm", "foot_cm"))
    untold = qctkit("simulate", "-o", tmp_path / "x.h5", "--also", "foot_cm")
    assert "the simulator cannot tell 'foot_cm'; it can: height_cm" in untold.err
    ATTRIBUTES.pop("foot_cm")


def test_fifty_plugins_load_nothing_heavy() -> None:
    script = Path(__file__).parents[2] / "benchmarks" / "plugins.py"
    ended = subprocess.run(
        [sys.executable, str(script), "--rounds", "1"], capture_output=True, text=True, check=True
    )
    assert "heavy libraries loaded: none" in ended.stdout
