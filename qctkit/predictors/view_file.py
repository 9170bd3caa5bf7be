"""Views of a cohort's subjects in a file, so that none of them stays in memory."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qctkit.geometry import Shape
from qctkit.view import ViewImage

STORED = np.dtype(np.float16)
"""Its steps are 0.5 HU below 1,024 HU and 1 HU below 2,048, and 0.0005 of a femur's share."""

LARGEST_HU = float(np.finfo(STORED).max)
"""Beyond this (65,504 HU) lies only metal."""


class ViewFile:
    """Views ``(N, 2, D, H, W)`` (HU, femur share) that are read where they are asked for.

    It can be pickled: workers read the same file. Nothing of it stays mapped, since pages that were
    read would count as memory of whoever read them.

    Args:
        path: the file; what it holds is thrown away.
        shape: of the view.
    """

    def __init__(self, path: Path, shape: Shape) -> None:
        self._path = path
        self._shape = shape
        self._count = 0
        path.write_bytes(b"")

    def append(self, image: ViewImage) -> None:
        """Add a subject's view."""
        with self._path.open("ab") as file:
            for voxels in (image.hu, image.femur):
                file.write(np.clip(voxels, -LARGEST_HU, LARGEST_HU).astype(STORED).tobytes())
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, key: Any) -> Tensor:
        """Return chosen views, or parts of them, as float32; keys are those of an array."""
        shape = (self._count, 2, *self._shape)
        stored = np.memmap(self._path, STORED, "r", shape=shape)
        chosen = tuple(
            one if isinstance(one, slice) else np.asarray(one)
            for one in (key if isinstance(key, tuple) else (key,))
        )
        return torch.from_numpy(np.array(stored[chosen])).float()
