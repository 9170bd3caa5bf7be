"""Smooth invertible maps of the femur frame: stationary velocity fields, integrated.

The flow of a velocity field v over unit time is a diffeomorphism, and that of -v is its inverse
(Arsigny et al. 2006, Ashburner 2007). It is integrated by scaling and squaring on a coarse grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qctkit.geometry import FloatArray
from qctkit.view import View

KNOT_SPACING_MM = 20.0
"""Distance between knots: less than the width of a neck, so that head, neck and trochanters can
change their shape apart, and no finer fold can be drawn."""

STEP_MM = KNOT_SPACING_MM / 3
"""Spacing of the grid on which velocities are integrated."""

SQUARINGS = 4
"""The first step is a sixteenth of the velocity; more would not bring the inverse nearer."""


def velocity_knots(view: View) -> tuple[int, int, int]:
    """Return the number of knots along superior, anterior, medial that span the view's box."""
    d, h, w = (int(np.ceil(2 * half / KNOT_SPACING_MM)) + 1 for half in view.half_extent_mm)
    return d, h, w


def reach_mm(knots: Sequence[int]) -> FloatArray:
    """Return the half extent of the box beyond which nothing moves: two knots outside the last."""
    return (np.array(knots) - 1) / 2 * KNOT_SPACING_MM + 2 * KNOT_SPACING_MM


def velocity(values_mm: Tensor) -> Tensor:
    """Return the velocity on the integration grid from knots ``(N, 3, d, h, w)``, mm.

    Cubic B-splines centred on the knots, so that the field has two continuous derivatives and
    fades to zero within two knots beyond the outermost ones.
    """
    d, h, w = (_splines(n).to(values_mm) for n in values_mm.shape[2:])
    return torch.einsum("ncdhw,Dd,Hh,Ww->ncDHW", values_mm, d, h, w)


def grid_positions_mm(values: Tensor) -> Tensor:
    """Return frame positions ``(1, D, H, W, 3)`` of values ``(N, C, D, H, W)`` on the grid, mm."""
    axes = [(torch.arange(n, dtype=values.dtype) - (n - 1) / 2) * STEP_MM for n in values.shape[2:]]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)[None]


@dataclass(frozen=True, eq=False)
class Flow:
    """A map x to x + ``displacement_mm(x)`` of the femur frame.

    Attributes:
        displacement_mm: ``(N, 3, D, H, W)`` on a grid about the origin, zero at its border.
        step_mm: spacing of that grid.
    """

    displacement_mm: Tensor
    step_mm: float = STEP_MM

    @classmethod
    def of(cls, velocity_mm: Tensor) -> "Flow":
        """Return the flow over unit time of a velocity ``(N, 3, D, H, W)``, by squaring."""
        flow = cls(velocity_mm / 2**SQUARINGS)
        still = grid_positions_mm(velocity_mm)
        for _ in range(SQUARINGS):
            first = flow.displacement_mm
            flow = cls(first + flow(still + first.movedim(1, -1)).movedim(-1, 1))
        d, h, w = (_halving(n).to(velocity_mm) for n in velocity_mm.shape[2:])
        finer = torch.einsum("ncdhw,Dd,Hh,Ww->ncDHW", flow.displacement_mm, d, h, w)
        return cls(finer, STEP_MM / 2)

    def __call__(self, positions_mm: Tensor) -> Tensor:
        """Return displacements at frame positions, both ``(N or 1, D, H, W, 3)``, mm.

        Linear between the points of the grid, zero beyond it.
        """
        last = positions_mm.new_tensor(self.displacement_mm.shape[2:]) - 1.0
        grid = (positions_mm / (last * (self.step_mm / 2))).flip(-1)
        sampled = torch.nn.functional.grid_sample(
            self.displacement_mm,
            grid.expand(len(self.displacement_mm), *grid.shape[1:]),
            mode="bilinear",
            padding_mode="zeros",
            align_corners=True,
        )
        return sampled.movedim(1, -1)

    def determinants(self) -> Tensor:
        """Return det J of the map in each cell of the grid, ``(N, D - 1, H - 1, W - 1)``.

        It is what a small volume is multiplied by, and positive where the map can be inverted.
        """
        d, h, w = (n - 1 for n in self.displacement_mm.shape[2:])
        identity = torch.eye(3).to(self.displacement_mm)[:, None, :, None, None, None]
        first, second, third = (
            self.displacement_mm.diff(dim=axis + 2)[:, :, :d, :h, :w] / self.step_mm
            + identity[axis]
            for axis in range(3)
        )
        volume: Tensor = (torch.linalg.cross(first, second, dim=1) * third).sum(dim=1)
        return volume


def _splines(knots: int) -> Tensor:
    """Return the cubic B-spline of each knot at the integration grid's points, ``(D, d)``."""
    centres = (np.arange(knots) - (knots - 1) / 2) * KNOT_SPACING_MM
    away = np.abs(_axis_mm(knots)[:, None] - centres) / KNOT_SPACING_MM
    near = 2 / 3 - away**2 + away**3 / 2
    far = np.clip(2 - away, 0, None) ** 3 / 6
    return torch.from_numpy(np.where(away < 1, near, far))


def _axis_mm(knots: int) -> FloatArray:
    """Return the positions of the integration grid's points along an axis with so many knots."""
    (half,) = reach_mm((knots,))
    return np.linspace(-half, half, round(2 * half / STEP_MM) + 1)


def _halving(points: int) -> Tensor:
    """Return the map ``(2 n - 1, n)`` to a grid of half the spacing, by Catmull-Rom splines.

    Linear interpolation of the coarse grid would show as facets in a fine scan.
    """
    finer = np.zeros((2 * points - 1, points))
    finer[::2] = np.eye(points)
    for offset, weight in ((-1, -1 / 16), (0, 9 / 16), (1, 9 / 16), (2, -1 / 16)):
        for cell in range(points - 1):
            finer[2 * cell + 1, np.clip(cell + offset, 0, points - 1)] += weight
    return torch.from_numpy(finer)
