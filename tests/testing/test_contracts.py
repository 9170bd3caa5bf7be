"""A contract finds what is wrong: every check fails for a component that breaks its promise."""

# ruff: noqa: ARG002 - the protocols name their arguments

import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from qctkit.cohort import Cohort, Sample
from qctkit.contracts import Candidate, Change, Role, Scene, TrainingData, Verdict
from qctkit.density import DensityReference
from qctkit.engine.edits.density_field import DensityField
from qctkit.engine.losses.preservation import Size
from qctkit.errors import ScanError
from qctkit.exporters.nifti import NiftiExporter
from qctkit.frame import FemurFrame
from qctkit.recipes.voxel_baseline import voxel_baseline
from qctkit.testing import (
    Contract,
    EditContract,
    ExporterContract,
    LossContract,
    PredictorContract,
    ReaderContract,
    RecipeContract,
    ValidatorContract,
    run_contract,
)
from qctkit.view import View, spacing_of
from qctkit.volume import Mask


def _broken(contract: type[Contract], component: object) -> str:
    """Return the promises that are not kept, with what was found."""
    return "\n".join(
        f"{one.promise}: {one.words}"
        for one in run_contract(contract, component)
        if one.passed is False
    )


COARSE = View((12, 10, 10), spacing_of(10.0))


class MeanDensity(nn.Module):
    """Reads an age off the mean HU of the femur."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.register_buffer("age", torch.zeros(()))

    def forward(self, image: Tensor) -> Tensor:
        hu, femur = image[:, 0], image[:, 1]
        mean = (hu * femur).sum(dim=(1, 2, 3)) / femur.sum(dim=(1, 2, 3))
        age = self.age + (mean - 300.0) / 100.0
        if self.fault == "mixes the batch":
            age = age - mean.mean() / 50.0
        if self.fault == "no gradient":
            age = age.detach() + 0.0 * self.age
        if self.fault == "random":
            age = age + torch.rand(())
        if self.fault == "months":
            age = age * 12.0
        if self.fault == "not finite":
            age = age / 0.0
        return age if self.fault == "no column" else age[:, None]


@dataclass(frozen=True)
class MeanFamily:
    fault: str = ""
    name: str = "mean"
    role: Role = Role.LOOP
    attributes: tuple[str, ...] = ("age_years",)
    view: View = COARSE

    def build(self, attributes: Sequence[str], view: View) -> MeanDensity:
        return MeanDensity(self.fault)

    def fit(self, data: TrainingData, attributes: Sequence[str], seed: int) -> MeanDensity:
        module = self.build(attributes, data.view)
        module.age += data.values["age_years"].nanmean()
        if self.fault == "random weights":
            module.age += random.random()
        if self.fault == "writes":
            (Path(tempfile.gettempdir()) / "qctkit-test-written").write_text("fit")
        return module if self.fault == "in training" else module.eval()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("mixes the batch", "one by one"),
        ("no gradient", "gradient"),
        ("random", "to the last bit"),
        ("random weights", "seed"),
        ("months", "at most 120 years"),
        ("not finite", "not finite"),
        ("no column", "shape"),
        ("in training", "eval"),
        ("writes", "qctkit-test-written"),
    ],
)
def test_a_predictor_that_breaks_a_promise_is_found(fault: str, words: str) -> None:
    assert words in _broken(PredictorContract, MeanFamily(fault))


def test_a_predictor_that_keeps_its_promises_passes() -> None:
    assert _broken(PredictorContract, MeanFamily()) == ""


def test_a_predictor_of_an_unknown_attribute_is_found() -> None:
    assert "shoe_size" in _broken(PredictorContract, MeanFamily(attributes=("shoe_size",)))


def test_a_predictor_that_cannot_be_pickled_is_found() -> None:
    class Local(MeanFamily):
        pass

    assert "pickled" in _broken(PredictorContract, Local())


def test_a_reader_needs_no_gradient() -> None:
    assert _broken(PredictorContract, MeanFamily("no gradient", role=Role.READER)) == ""


Judge = Callable[[Candidate], Verdict]


@dataclass(frozen=True)
class Judging:
    """A validator that is one function."""

    answer: Judge
    name: str = "judging"

    def judge(self, candidate: Candidate, reference: DensityReference) -> Verdict:
        return self.answer(candidate)


def _verdict(**changes: object) -> Verdict:
    return replace(Verdict("judging", True, {"mean_hu": 1.0}, "mean 1 HU, as it was"), **changes)


def _spoils(candidate: Candidate) -> Verdict:
    candidate.region[:] = ~candidate.region
    return _verdict()


def _needs_an_age(candidate: Candidate) -> Verdict:
    if candidate.label.age_years is None:
        raise ValueError("no age")
    return _verdict()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda _: None, "returned None"),
        (lambda _: _verdict(validator="another"), "signed 'another'"),
        (lambda _: _verdict(passed=1), "no bool"),
        (lambda _: _verdict(figures={"mean_hu": float("nan")}), "no finite number"),
        (lambda _: _verdict(words="fine"), "words are 'fine'"),
        (lambda _: _verdict(figures={"mean_hu": random.random()}), "same verdict every time"),
        (_spoils, "was changed"),
        (_needs_an_age, "ValueError: no age"),
    ],
)
def test_a_validator_that_breaks_a_promise_is_found(answer: Judge, words: str) -> None:
    assert words in _broken(ValidatorContract, Judging(answer))


def test_a_validator_that_keeps_its_promises_passes() -> None:
    assert _broken(ValidatorContract, Judging(lambda _: _verdict())) == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"edits": ("none-such",)}, "no edit is called 'none-such'"),
        ({"validators": ()}, "everything is accepted"),
        ({"predictors": ("reader-network",)}, "judge and party"),
        ({"may_carry": ("shoe_size",)}, "not known"),
        ({"may_carry": ("sex",), "predictors": ("age-weight-network",)}, "no predictor of the"),
        ({"preservation": {"size": -1.0}}, "negative"),
        ({"account": "good"}, "account is 'good'"),
        ({"steps": 0}, "steps is 0"),
    ],
)
def test_a_recipe_that_breaks_a_promise_is_found(changes: dict[str, object], words: str) -> None:
    assert words in _broken(RecipeContract, replace(voxel_baseline(), **changes))


class Greedy:
    """Claims everything, and finds nothing."""

    name = "greedy"

    def claims(self, path: Path) -> bool:
        if path.is_dir():
            raise ScanError("a folder")
        return True

    def find(self, path: Path) -> tuple[object, ...]:
        return ()


def test_a_reader_that_claims_everything_is_found() -> None:
    assert "it claims" in _broken(ReaderContract, Greedy())


def test_what_needs_an_example_of_the_format_is_not_checked_without_one() -> None:
    findings = list(run_contract(ReaderContract, Greedy()))
    assert [one.passed for one in findings[1:]] == [None] * 7
    assert "override write_example" in findings[1].words


class Overwriting:
    """Forgets what it was asked."""

    name = "overwriting"

    def export(self, cohort: Cohort, folder: Path, *, overwrite: bool) -> Sequence[Path]:
        files = NiftiExporter().export(cohort, folder, overwrite=True)
        return files[1:] if overwrite is False else files


def test_an_exporter_that_overwrites_and_hides_a_file_is_found() -> None:
    found = _broken(ExporterContract, Overwriting())
    assert "without being asked" in found
    assert "does not tell of" in found


@dataclass(frozen=True)
class FaultyField(DensityField):
    """The density field with one promise broken."""

    fault: str = ""

    def start(self, batch: int, view: View) -> dict[str, Tensor]:
        zero = super().start(batch, view)
        return {n: v + 1.0 for n, v in zero.items()} if self.fault == "starts at one" else zero

    def apply(self, scene: Scene, parameters: Mapping[str, Tensor]) -> Scene:
        after = super().apply(scene, parameters)
        hu = after.hu
        if self.fault == "no identity":
            hu = hu + 1.0
        if self.fault == "mixes the batch":
            hu = hu + (after.hu - scene.hu).mean()
        if self.fault == "no gradient":
            hu = hu.detach() + 0.0 * parameters["shift_hu"].sum()
        if self.fault == "random":
            hu = hu + torch.rand(()) * (after.hu - scene.hu)
        femur = scene.femur.clone() if self.fault == "copies the femur" else after.femur
        return replace(after, hu=hu, femur=femur)

    def region(self, sample: Sample, frame: FemurFrame, view: View) -> Mask:
        region = super().region(sample, frame, view)
        return region[1:] if self.fault == "another region" else region

    def within_limits(self, scene: Scene, parameters: Mapping[str, Tensor]) -> Tensor:
        within = super().within_limits(scene, parameters)
        return ~within if self.fault == "out of limits" else within


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("starts at one", "not at zero"),
        ("no identity", "at zero, hu of the view changes"),
        ("mixes the batch", "largest difference"),
        ("no gradient", "zero"),
        ("random", "other HU"),
        ("copies the femur", "the femur is another"),
        ("another region", "its region is"),
        ("out of limits", "out of limits"),
    ],
)
def test_an_edit_that_breaks_a_promise_is_found(fault: str, words: str) -> None:
    assert words in _broken(EditContract, FaultyField(fault=fault))


def test_an_edit_without_a_spread_is_found() -> None:
    assert "spreads are of []" in _broken(EditContract, FaultyField(spreads={}))


@dataclass(frozen=True)
class FaultySize(Size):
    """The size of a change with one promise broken."""

    fault: str = ""

    def __call__(self, change: Change) -> Tensor:
        cost = super().__call__(change)
        if self.fault == "never nothing":
            cost = cost + 1.0
        if self.fault == "mixes the batch":
            cost = cost + cost.mean()
        if self.fault == "one for all":
            cost = cost.sum()
        if self.fault == "a root":
            cost = cost.sqrt()
        if self.fault == "random":
            cost = cost * (1.0 + torch.rand(()))
        if self.fault == "decreases":
            cost = cost * torch.exp(-cost)
        return cost


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("never nothing", "at the identity it costs"),
        ("mixes the batch", "own sample alone"),
        ("one for all", "shape"),
        ("a root", "not finite"),
        ("random", "it varies"),
        ("decreases", "does not cost more"),
    ],
)
def test_a_loss_term_that_breaks_a_promise_is_found(fault: str, words: str) -> None:
    assert words in _broken(LossContract, FaultySize(fault=fault))
