from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from qctkit.cohort import FemurMask, MaskOrigin, MemoryCohort, Sample, Side, Synthesis
from qctkit.geometry import Geometry
from qctkit.subject import Sex, Subject
from qctkit.units import Unit
from qctkit.volume import Volume

SHAPE = (2, 3, 4)
GRID = Geometry.from_spacing(SHAPE, (2.5, 0.7, 0.5), (10.0, -20.0, 30.0))


@pytest.fixture
def sample() -> Callable[..., Sample]:
    """Make a real sample, or a made one when a record is given."""

    def make(
        sample_id: str = "A",
        *,
        voxels: np.ndarray | None = None,
        geometry: Geometry = GRID,
        unit: Unit = Unit.HU,
        record: dict[str, Any] | None = None,
    ) -> Sample:
        if voxels is None:
            voxels = np.arange(np.prod(geometry.shape), dtype=np.int16).reshape(geometry.shape)
        mask = voxels > np.median(voxels)
        made = None if record is None else Synthesis("SRC-left", "SRC", mask, record)
        return Sample(
            sample_id,
            Subject(sample_id, Sex.F, 69.0, 62.5),
            Volume(voxels, geometry, unit),
            FemurMask(mask, Side.LEFT, MaskOrigin.SEGMENTED),
            synthesis=made,
        )

    return make


@pytest.fixture
def record() -> dict[str, Any]:
    return {
        "recipe": "femur-density",
        "targets": {"sex": None, "age_years": 80.0, "weight_kg": 55.25},
        "labels": {"sex": "F", "age_years": 80.0, "weight_kg": 55.25},
        "seed": 7,
        "stop": "reached",
        "verdicts": [{"validator": "structure", "passed": True, "words": "", "figures": {}}],
    }


class CohortWithRefused(MemoryCohort):
    """A cohort in memory that remembers one refused candidate."""

    @property
    def refused(self) -> tuple[dict[str, Any], ...]:
        verdicts = [("structure", False), ("density", True), ("realism", False)]
        return (
            {
                "candidate_id": "SRC-c3",
                "source_subject_id": "SRC",
                "source_sample_id": "SRC-left",
                "recipe": "femur-density",
                "targets": {"sex": "M", "age_years": None, "weight_kg": 90.0},
                "stop": "stalled",
                "reason": "structure changed, and more",
                "verdicts": [{"validator": n, "passed": p} for n, p in verdicts],
            },
        )


@pytest.fixture
def with_refused() -> type[CohortWithRefused]:
    return CohortWithRefused
