"""Registration: the smooth map that carries a template's tissues onto those of a subject.

A stationary velocity field on knots about 9 mm apart, found by Adam, coarse to fine, on what
tissues there are: femur, body, lean tissue and other bone. Densities are left out on purpose, so
that a difference in density stays a difference in density and is not made up by shape.
"""

import torch
from torch import Tensor

from qctkit.engine.descent import move, remember
from qctkit.view import View

KNOT_SPACING_MM = 9.0
"""Distance between knots of the velocity: finer than a neck is wide."""

FLOW_STEP_MM = 6.0
"""Spacing of the grid on which velocities are integrated."""

SQUARINGS = 6
"""The first step is a 64th of the velocity: fat may move by 80 mm, and then by little more than
1 mm a step."""

STEPS = ((1.5, 30, False), (0.0, 25, False), (0.0, 6, True))
"""Smoothing in voxels, steps of Adam, and whether on the view's own grid or one half as fine."""

FIRST_STEP_MM = 1.5
"""Adam's step, times 0.6 from one stage to the next."""

MEMORY = (0.8, 0.95)
"""Shares of its mean and mean square that Adam keeps."""

STIFFNESS = 0.05 / 100.0
"""Weight of the field's energy against the mean squared difference of tissues; chosen with the
Dice of femurs (0.98) and the judge of docs/evidence.md, flat between a third of it and twice."""

BATCH = 8
"""Subjects registered together."""


def register(template: Tensor, images: Tensor, view: View) -> Tensor:
    """Return velocities ``(N, 3, knots)`` in mm, of flows that lead into each image.

    What an image shows at ``x + displacement(x)`` is the tissue that the template has at ``x``.

    Args:
        template: ``(1, 2, D, H, W)``, HU and the femur's share.
        images: ``(N, 2, D, H, W)``.
        view: the grid of both.
    """
    parts = images.split(BATCH)
    return torch.cat([_register(template, part, view) for part in parts])


def displacement_mm(velocity_mm: Tensor, view: View, *, finest: bool = True) -> Tensor:
    """Return the displacement ``(N, 3, ...)`` of a velocity's flow, on the view's grid.

    Scaling and squaring (Arsigny et al. 2006) on a grid of 6 mm; with ``finest`` false it stays
    on that grid. Beyond the view the flow is that of its border.
    """
    step = on_grid(velocity_mm, flow_shape(view)) / 2**SQUARINGS
    for _ in range(SQUARINGS):
        step = step + sampled(step, step, view)
    return on_grid(step, view.shape) if finest else step


def sampled(values: Tensor, displacement: Tensor, view: View) -> Tensor:
    """Return values ``(N or 1, C, ...)`` that span the view, at displaced places, trilinear.

    Args:
        values: on any grid that spans the view; beyond it they are those of its border.
        displacement: ``(N, 3, D, H, W)`` in mm along superior, anterior, medial, on the grid of
            the result.
        view: the box.
    """
    half = displacement.new_tensor(view.half_extent_mm).view(1, 3, 1, 1, 1)
    shift = (displacement / half).flip(1).movedim(1, -1)
    still = torch.nn.functional.affine_grid(
        torch.eye(3, 4)[None], [1, 1, *displacement.shape[2:]], align_corners=True
    )
    return torch.nn.functional.grid_sample(
        values.expand(len(displacement), *values.shape[1:]),
        still + shift,
        padding_mode="border",
        align_corners=True,
    )


def on_grid(values: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Return values ``(N, C, ...)`` that span the view on another grid that spans it."""
    return torch.nn.functional.interpolate(values, size=shape, mode="trilinear", align_corners=True)


def flow_shape(view: View) -> tuple[int, int, int]:
    """Return the shape of the grid of 6 mm on which flows are integrated."""
    return _points(view, FLOW_STEP_MM)


def knots(view: View) -> tuple[int, int, int]:
    """Return the number of a velocity's knots along superior, anterior, medial."""
    return _points(view, KNOT_SPACING_MM)


def smoothed(values: Tensor, sigma: float) -> Tensor:
    """Return values ``(N, C, D, H, W)`` after a Gaussian of ``sigma`` voxels."""
    if sigma <= 0.0:
        return values
    reach = int(3.0 * sigma + 0.5)
    kernel = torch.exp(-torch.arange(-reach, reach + 1.0).square() / (2.0 * sigma**2))
    kernel = kernel / kernel.sum()
    channels = values.shape[1]
    for axis in (2, 3, 4):
        padding = [0] * 6
        padding[2 * (4 - axis)] = padding[2 * (4 - axis) + 1] = reach
        shape = [1] * 5
        shape[axis] = -1
        weights = kernel.view(shape).repeat(channels, 1, 1, 1, 1)
        wide = torch.nn.functional.pad(values, padding, mode="replicate")
        values = torch.nn.functional.conv3d(wide, weights, groups=channels)
    return values


def tissues(images: Tensor) -> Tensor:
    """Return soft memberships ``(N, 4, D, H, W)``: femur, body, lean tissue, other bone.

    Limits between air, fat (-100 HU), muscle (50 HU) and bone; lean tissue is smoothed, since
    sheets of fat lie elsewhere in everyone.
    """
    hu, femur = images[:, :1], images[:, 1:2]
    rest = 1.0 - femur
    lean = torch.sigmoid((hu + 25.0) / 15.0) * rest
    bone = torch.sigmoid((hu - 200.0) / 30.0) * rest
    body = torch.sigmoid((hu + 400.0) / 60.0)
    return torch.cat([2.0 * femur, body, smoothed(lean, 1.5), 0.7 * bone], dim=1)


def _register(template: Tensor, images: Tensor, view: View) -> Tensor:
    fixed, moving = tissues(template), tissues(images)
    velocity = torch.zeros(len(images), 3, *knots(view), requires_grad=True)
    # Not PyTorch's own Adam, whose first use loads its compiler: seconds.
    mean, square, taken = torch.zeros_like(velocity), torch.zeros_like(velocity), 0
    step_mm = FIRST_STEP_MM
    for sigma, steps, finest in STEPS:
        shown, wanted = (one if finest else _coarse(one, view) for one in (moving, fixed))
        shown, wanted = smoothed(shown, sigma), smoothed(wanted, sigma)
        for _ in range(steps):
            moved = sampled(shown, displacement_mm(velocity, view, finest=finest), view)
            apart = (moved - wanted).square().flatten(1).mean(dim=1)
            loss = (apart + STIFFNESS * _energy(velocity)).sum()
            (slope,) = torch.autograd.grad(loss, velocity)
            taken += 1
            remember(mean, square, slope, MEMORY)
            move(velocity.detach(), mean, square, step_mm, taken, MEMORY)
        step_mm *= 0.6
    return velocity.detach()


def _coarse(values: Tensor, view: View) -> Tensor:
    return on_grid(smoothed(values, 0.8), flow_shape(view))


def _energy(velocity_mm: Tensor) -> Tensor:
    """Return the mean squared slope of each field, and four times that of its change, ``(N,)``."""
    total = torch.zeros(len(velocity_mm))
    for axis in (2, 3, 4):
        slope = velocity_mm.diff(dim=axis) / KNOT_SPACING_MM
        total = total + 3.0 * slope.square().flatten(1).mean(dim=1)
        total = total + 12.0 * slope.diff(dim=axis).square().flatten(1).mean(dim=1)
    return total


def _points(view: View, spacing_mm: float) -> tuple[int, int, int]:
    """Return the points along each axis of a grid of about this spacing that spans the view."""
    d, h, w = (max(round(2.0 * half / spacing_mm) + 1, 2) for half in view.half_extent_mm)
    return d, h, w
