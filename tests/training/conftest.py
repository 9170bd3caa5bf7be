from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

from qctkit.cohort import FemurMask, MaskOrigin, Sample, Side, Synthesis
from qctkit.geometry import Geometry
from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter
from qctkit.subject import Subject
from qctkit.volume import Volume

SHAPE = (4, 5, 6)

Made: TypeAlias = Callable[..., Sample]
Stored: TypeAlias = Callable[[str, Sequence[Sample]], CohortFile]


@pytest.fixture
def made() -> Made:
    """Make a sample of a subject, or one made from the scan of another."""

    def make(
        sample_id: str,
        subject: Subject | None = None,
        *,
        source: str | None = None,
        side: Side = Side.LEFT,
        volume: Volume | None = None,
    ) -> Sample:
        grid = Geometry.from_spacing(SHAPE, (4.0, 4.0, 4.0))
        voxels = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
        mask = np.zeros(SHAPE, dtype=bool)
        mask[1:3, 1:4, 3:5] = True
        return Sample(
            sample_id,
            subject or Subject(sample_id),
            volume or Volume(voxels, grid),
            FemurMask(mask, side, MaskOrigin.GIVEN),
            synthesis=None if source is None else Synthesis(source, source, mask, {}),
        )

    return make


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    """Write samples to a cohort file."""

    def store(name: str, samples: Sequence[Sample]) -> CohortFile:
        with CohortWriter(tmp_path / name, {"command": "test"}) as writer:
            for position, sample in enumerate(samples):
                writer.add(position, sample)
        return CohortFile(tmp_path / name)

    return store
