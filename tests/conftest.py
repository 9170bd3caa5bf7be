"""Phantoms: a ball on a tube in HU, small enough that every test builds its own."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from qctkit.cohort import FemurMask, MaskOrigin, Sample, Side, Synthesis
from qctkit.frame import FemurFrame, locate
from qctkit.geometry import Geometry
from qctkit.subject import Sex, Subject
from qctkit.view import View, spacing_of
from qctkit.volume import Volume

SHAPE = (40, 32, 32)
SPACING_MM = 3.0
HEAD_RADIUS_MM = 24.0
SHAFT_RADIUS_MM = 17.0
CORTEX_MM = 4.5

torch.set_num_threads(1)


def _femur_depth_mm(side: Side) -> np.ndarray:
    """Depth below the surface of each voxel, mm; negative outside."""
    d, h, w = (np.indices(SHAPE) + 0.5) * SPACING_MM
    centre = np.array([SHAPE[1], SHAPE[2]]) / 2 * SPACING_MM
    medial = 8.0 if side is Side.LEFT else -8.0
    ball = np.sqrt((d - 88.0) ** 2 + (h - centre[0]) ** 2 + (w - centre[1] - medial) ** 2)
    tube = np.sqrt((h - centre[0]) ** 2 + (w - centre[1]) ** 2)
    shaft = np.where((d > 8.0) & (d < 90.0), SHAFT_RADIUS_MM - tube, -100.0)
    return np.maximum(HEAD_RADIUS_MM - ball, shaft)


def make_sample(
    sample_id: str = "A",
    *,
    subject: Subject | None = None,
    side: Side = Side.LEFT,
    core_hu: float = 250.0,
    cortex_hu: float = 900.0,
    noise_hu: float = 20.0,
    seed: int = 0,
) -> Sample:
    depth = _femur_depth_mm(side)
    hu = np.select([depth > CORTEX_MM, depth > 0], [core_hu, cortex_hu], 40.0)
    hu = np.rint(hu + noise_hu * np.random.default_rng(seed).standard_normal(SHAPE))
    geometry = Geometry.from_spacing(SHAPE, (SPACING_MM,) * 3, (10.0, -20.0, 30.0))
    return Sample(
        sample_id,
        subject or Subject(sample_id, Sex.F, 70.0, 65.0),
        Volume(hu, geometry),
        FemurMask(depth > 0, side, MaskOrigin.SIMULATED),
    )


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


@pytest.fixture(scope="session")
def small_view() -> View:
    """Coarse enough for a network step in milliseconds, fine enough for a core and a shell."""
    return View((20, 16, 16), spacing_of(6.0))


@pytest.fixture(scope="session")
def people() -> tuple[Sample, ...]:
    """Return twelve subjects whose core thins with age and whose cortex follows weight."""
    generator = np.random.default_rng(3)
    samples = []
    for number in range(12):
        age, weight = generator.uniform(40, 90), generator.uniform(45, 100)
        sex = Sex.M if number % 2 else Sex.F
        samples.append(
            make_sample(
                f"P{number:02d}",
                subject=Subject(f"P{number:02d}", sex, float(age), float(weight)),
                side=Side.RIGHT if number % 3 else Side.LEFT,
                core_hu=500.0 - 4.0 * age,
                cortex_hu=500.0 + 6.0 * weight,
                seed=number,
            )
        )
    return tuple(samples)


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
