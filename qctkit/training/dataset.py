"""A PyTorch dataset over a cohort file, real or made."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from qctkit.cohort import Sample
from qctkit.errors import InputError
from qctkit.store.reader import CohortFile
from qctkit.subject import AGE, SEX, WEIGHT
from qctkit.training.grid import TrainingGrid
from qctkit.training.source import source_subject_id
from qctkit.units import Unit
from qctkit.volume import Mask


class TrainingItem(TypedDict):
    """One sample as tensors, which PyTorch's default collation turns into batches.

    Attributes:
        image: ``(1, D, H, W)`` float32, HU through the cohort's window, so in [0, 1].
        mask: ``(1, D, H, W)`` bool, true in the femur.
        sex: 0 for F, 1 for M, NaN when missing; float32, like the other two.
        age_years: NaN when missing.
        weight_kg: NaN when missing.
        others: the cohort's other attributes by name, NaN when missing.
        sample_id: unique in its file.
        source_subject_id: whose scan it was made from; samples that share it share a split.
        is_synthetic: whether a recipe made it.
    """

    image: Tensor
    mask: Tensor
    sex: Tensor
    age_years: Tensor
    weight_kg: Tensor
    others: dict[str, Tensor]
    sample_id: str
    source_subject_id: str
    is_synthetic: bool


class CohortDataset(Dataset[TrainingItem]):
    """The samples of a cohort file, one read from disk at each access.

    Nothing stays open between accesses, so it works with any number of loader processes. Labels
    are a sample's true ones: of a made sample the targets it reached, and the source's own values
    for whatever its recipe does not carry.

    Example::

        split = split_by_subject([CohortFile(real), CohortFile(made)])
        ids = split.sample_ids(CohortFile(made), "train")
        loader = DataLoader(CohortDataset(made, ids, grid=TrainingGrid()), batch_size=4)

    Args:
        path: the cohort file.
        sample_ids: those to use, in this order; all of them when not given.
        grid: resample every scan to this grid, which batches need unless all scans have one
            shape; without it samples come as stored.

    Raises:
        CohortFileError: the file cannot be read, or has no such sample.
    """

    def __init__(
        self,
        path: Path,
        sample_ids: Sequence[str] | None = None,
        *,
        grid: TrainingGrid | None = None,
    ) -> None:
        self.cohort = CohortFile(path)
        self.sample_ids = self.cohort.sample_ids if sample_ids is None else tuple(sample_ids)
        self.grid = grid
        for sample_id in self.sample_ids:
            self.cohort.subject(sample_id)  # an unknown id is refused now, not in epoch 3

    def __len__(self) -> int:
        return len(self.sample_ids)

    def __getitem__(self, index: int) -> TrainingItem:
        sample = self.cohort.load(self.sample_ids[index])
        hu, mask = self._voxels(sample)
        subject = sample.subject
        return TrainingItem(
            image=torch.from_numpy(self.cohort.window.apply(hu)[None]),  # (D,H,W) -> (1,D,H,W)
            mask=torch.from_numpy(mask[None].copy()),  # (D,H,W) -> (1,D,H,W)
            sex=_label(subject.value(SEX.name)),
            age_years=_label(subject.value(AGE.name)),
            weight_kg=_label(subject.value(WEIGHT.name)),
            others={name: _label(subject.value(name)) for name in self.cohort.others},
            sample_id=sample.sample_id,
            source_subject_id=source_subject_id(sample),
            is_synthetic=sample.synthesis is not None,
        )

    def _voxels(self, sample: Sample) -> tuple[NDArray[np.generic], Mask]:
        if sample.volume.unit is not Unit.HU:
            raise InputError(
                f"{self.cohort.path}: sample {sample.sample_id} is in {sample.volume.unit}, and "
                "the cohort's window maps HU; convert it to HU for training"
            )
        if self.grid is None:
            return sample.volume.voxels, sample.femur.voxels
        return self.grid.resample(sample)


def _label(value: float | None) -> Tensor:
    return torch.tensor(float("nan") if value is None else value, dtype=torch.float32)
