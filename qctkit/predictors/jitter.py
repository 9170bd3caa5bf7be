"""Random changes of a view that keep its densities: what a second scan would change."""

import torch
from torch import Tensor

SHIFT_VOXELS = 1
"""A femur is located to about one view voxel."""

NOISE_HU = 12.0
"""Standard deviation of the added noise: real scans averaged to 3 mm differ by about this."""


def jitter(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return images ``(N, 2, D, H, W)`` shifted by up to a voxel, with noise added to the HU."""
    span = 2 * SHIFT_VOXELS + 1
    shifts = torch.randint(span, (len(images), 3), generator=generator) - SHIFT_VOXELS
    moved = torch.stack(
        [
            torch.roll(image, shift.tolist(), dims=(1, 2, 3))
            for image, shift in zip(images, shifts, strict=True)
        ]
    )
    noise = torch.randn(moved[:, :1].shape, generator=generator) * NOISE_HU
    return torch.cat([moved[:, :1] + noise, moved[:, 1:]], dim=1)
