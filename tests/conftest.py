"""Phantoms, small enough that every test builds its own."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from qctkit.cohort import Sample, Synthesis
from qctkit.frame import FemurFrame, locate
from qctkit.subject import ATTRIBUTES, Attribute, Sex, Subject, know
from qctkit.testing.femurs import make_femur, make_people
from qctkit.view import View, spacing_of
from tests.browser import chromium  # noqa: F401 # a fixture of every folder
from tests.small_run import small_run  # noqa: F401 # a fixture of every folder

torch.set_num_threads(1)


make_sample = make_femur


@pytest.fixture(scope="session")
def make() -> Callable[..., Sample]:
    """Make a real sample."""
    return make_sample


@pytest.fixture(scope="session")
def sample() -> Sample:
    return make_sample()


@pytest.fixture(scope="session")
def frame(sample: Sample) -> FemurFrame:
    return locate(sample.femur, sample.volume.geometry)


@pytest.fixture
def grip() -> Iterator[str]:
    """An attribute that no plugin registers, known while a test runs."""
    know([Attribute("grip_strength_kg", "continuous", "kg", 0.0, 120.0)])
    yield "grip_strength_kg"
    ATTRIBUTES.pop("grip_strength_kg", None)


@pytest.fixture(scope="session")
def small_view() -> View:
    """Coarse enough for a network step in milliseconds, fine enough for a core and a shell."""
    return View((20, 16, 16), spacing_of(6.0))


@pytest.fixture(scope="session")
def people() -> tuple[Sample, ...]:
    """Return twelve subjects whose core thins with age and whose cortex follows weight."""
    return make_people()


@pytest.fixture(scope="session")
def make_made(make: Callable[..., Sample]) -> Callable[..., Sample]:
    """Make a sample that a recipe made, with everything that can be stored beside voxels."""

    def made(sample_id: str = "A-1") -> Sample:
        real = make(sample_id, subject=Subject("A", Sex.M, 71.5, None))
        synthesis = Synthesis(
            "A-left",
            "A",
            real.femur.voxels,
            {"recipe": "femur-density", "targets": {"age_years": 80.0}, "seed": 7, "ü": None},
            {"shift_hu": np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 2, 2)},
        )
        return Sample(
            sample_id,
            real.subject,
            real.volume,
            real.femur,
            provenance={"format": "dicom", "slices": 40},
            truth={"trabecular_hu": 250.0},
            synthesis=synthesis,
        )

    return made
