"""Every built-in component meets the contract that plugin authors inherit."""

from dataclasses import replace
from pathlib import Path

import pytest

from qctkit import bundled
from qctkit.contracts import Reader
from qctkit.exporters.nifti import NiftiExporter
from qctkit.exporters.nifti_file import write_volume
from qctkit.exporters.nrrd import NrrdExporter
from qctkit.exporters.nrrd_file import write_volume as write_nrrd
from qctkit.networks import Schedule
from qctkit.predictors.density import DensityFamily
from qctkit.predictors.measured import MeasuredFamily
from qctkit.predictors.network import network_families
from qctkit.predictors.physical import PhysicalFamily
from qctkit.predictors.voxel_ridge import VoxelRidgeFamily
from qctkit.readers.nifti import NiftiReader
from qctkit.readers.nrrd import NrrdReader
from qctkit.recipes.femur_morph import femur_morph
from qctkit.recipes.voxel_baseline import voxel_baseline
from qctkit.testing import (
    AttributeTermContract,
    EditContract,
    ExporterContract,
    LossContract,
    PredictorContract,
    ReaderContract,
    RecipeContract,
    ValidatorContract,
    run_contract,
)
from qctkit.validators.attributes import Attributes
from qctkit.validators.density import Density
from qctkit.validators.noise_texture import NoiseTexture
from qctkit.validators.structure import Structure
from qctkit.view import View, spacing_of
from qctkit.volume import Volume

SMALL_VIEW = View((20, 16, 16), spacing_of(6.0))


class TestDensityFamily(PredictorContract):
    component = DensityFamily()


class TestPhysicalFamily(PredictorContract):
    component = PhysicalFamily()


class TestMeasuredFamily(PredictorContract):
    component = MeasuredFamily(members=1, schedule=Schedule(epochs=2))


class TestVoxelRidgeFamily(PredictorContract):
    component = VoxelRidgeFamily()


@pytest.fixture(params=network_families(), ids=lambda one: one.name, scope="class")
def network(request: pytest.FixtureRequest) -> None:
    """Fit every network, small and short: the contract does not depend on either."""
    family = request.param
    request.cls.component = replace(
        family,
        view=SMALL_VIEW if family.view.shape[1] < 100 else family.view,
        schedule=replace(family.schedule, epochs=2),
        members=2,
    )


@pytest.mark.usefixtures("network")
class TestNetworkFamilies(PredictorContract):
    pass


@pytest.fixture(params=bundled.register_edits(), ids=lambda one: one.name, scope="class")
def edit(request: pytest.FixtureRequest) -> None:
    request.cls.component = request.param


@pytest.mark.usefixtures("edit")
class TestEdits(EditContract):
    pass


@pytest.fixture(params=bundled.register_losses(), ids=lambda one: one.name, scope="class")
def loss(request: pytest.FixtureRequest) -> None:
    request.cls.component = request.param


@pytest.mark.usefixtures("loss")
class TestLosses(LossContract):
    pass


@pytest.fixture(params=bundled.register_attribute_terms(), ids=lambda one: one.name, scope="class")
def attribute_term(request: pytest.FixtureRequest) -> None:
    request.cls.component = request.param


@pytest.mark.usefixtures("attribute_term")
class TestAttributeTerms(AttributeTermContract):
    pass


class TestAttributes(ValidatorContract):
    component = Attributes()


class TestDensity(ValidatorContract):
    component = Density()


class TestStructure(ValidatorContract):
    component = Structure()


class TestNoiseTexture(ValidatorContract):
    component = NoiseTexture()


class TestFemurMorph(RecipeContract):
    component = femur_morph()


class TestVoxelBaseline(RecipeContract):
    component = voxel_baseline()


class TestNiftiExporter(ExporterContract):
    component = NiftiExporter()


class TestNrrdExporter(ExporterContract):
    component = NrrdExporter()


class TestNiftiReader(ReaderContract):
    component = NiftiReader()

    def write_example(self, folder: Path, volume: Volume) -> Path:
        return write_volume(folder / "example.nii.gz", volume)


class TestNrrdReader(ReaderContract):
    component = NrrdReader()

    def write_example(self, folder: Path, volume: Volume) -> Path:
        return write_nrrd(folder / "example.nrrd", volume)


@pytest.mark.parametrize("reader", bundled.register_readers(), ids=lambda one: one.name)
def test_no_reader_claims_what_is_no_scan(reader: Reader) -> None:
    first, *_ = run_contract(ReaderContract, reader)
    assert (first.passed, first.words) == (True, "")


def test_every_built_in_is_checked() -> None:
    checked = {
        type(one.component)
        for one in globals().values()
        if isinstance(one, type) and "component" in vars(one)
    }
    for hook in (bundled.register_validators, bundled.register_exporters):
        assert {type(one) for one in hook()} <= checked
    named = {
        one.component.name
        for one in globals().values()
        if isinstance(one, type) and issubclass(one, RecipeContract) and "component" in vars(one)
    }
    assert {one.name for one in bundled.register_recipes()} == named
