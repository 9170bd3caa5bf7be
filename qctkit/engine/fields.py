"""Smooth scalar fields on a coarse grid of knots in the femur frame."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from qctkit.view import View

KNOT_SPACING_MM = 27.0
"""Distance between knots: about the width of a neck, so that head, neck, trochanters and shaft
can change apart but no pattern finer than them can be drawn."""


POINTS_AT_ONCE = 1_000_000
"""Voxels at which something is looked up together: more than a view has, fewer than a scan."""


def knots(view: View) -> tuple[int, int, int]:
    """Return the number of knots along superior, anterior, medial that span the view."""
    d, h, w = (int(np.ceil(2 * half / KNOT_SPACING_MM)) + 1 for half in view.half_extent_mm)
    return d, h, w


def field_at(values: Tensor, positions_mm: Tensor, view: View) -> Tensor:
    """Return a field ``(N, d, h, w)`` of knots at frame positions ``(N or 1, D, H, W, 3)``, mm.

    Knots span the view; beyond it the field keeps its border value. Between knots it follows a
    trilinear interpolation with smoothstep weights, whose slope is continuous.
    """
    return _by_slices(lambda part: _field_at(values, part, view), positions_mm)


def _field_at(values: Tensor, positions_mm: Tensor, view: View) -> Tensor:
    positions = positions_mm / positions_mm.new_tensor(view.half_extent_mm)
    counts = positions.new_tensor(values.shape[1:])
    cells = (positions.clamp(-1.0, 1.0) + 1.0) / 2.0 * (counts - 1.0)
    whole = cells.floor()
    part = cells - whole
    smooth = (whole + part * part * (3.0 - 2.0 * part)) / (counts - 1.0) * 2.0 - 1.0
    grid = smooth.flip(-1).expand(len(values), *smooth.shape[1:])
    sampled = torch.nn.functional.grid_sample(
        values[:, None], grid, mode="bilinear", padding_mode="border", align_corners=True
    )
    return sampled[:, 0]


def view_values_at(
    values: Tensor, positions_mm: Tensor, view: View, padding: Literal["zeros", "border"]
) -> Tensor:
    """Return values ``(N, *view.shape)`` on a view's grid at frame positions, mm.

    Trilinear; ``padding`` says what lies beyond the view.
    """
    return _by_slices(lambda part: _view_values_at(values, part, view, padding), positions_mm)


def _view_values_at(
    values: Tensor, positions_mm: Tensor, view: View, padding: Literal["zeros", "border"]
) -> Tensor:
    grid = (positions_mm / positions_mm.new_tensor(view.half_extent_mm)).flip(-1)
    sampled = torch.nn.functional.grid_sample(
        values[:, None],
        grid.expand(len(values), *grid.shape[1:]),
        mode="bilinear",
        padding_mode=padding,
        align_corners=True,
    )
    return sampled[:, 0]


def _by_slices(find: Callable[[Tensor], Tensor], positions_mm: Tensor) -> Tensor:
    """Return what is found at positions ``(N or 1, D, H, W, 3)``, few slices at a time."""
    parts = [positions_mm[:, part] for part in slabs(positions_mm.shape[1:])]
    return torch.cat([find(part) for part in parts], dim=1) if len(parts) > 1 else find(*parts)


def slabs(shape: Sequence[int]) -> list[slice]:
    """Return slices along D of an array ``(D, H, W, ...)``, of so many voxels as fit together."""
    depth, height, width = shape[:3]
    step = max(POINTS_AT_ONCE // (height * width), 1)
    return [slice(first, min(first + step, depth)) for first in range(0, depth, step)]
