"""Where head, neck and shaft of a femur lie in a view, found with soft edges.

Torch operations of fixed shape only: what is measured around these landmarks stays differentiable
down to the HU and exports to ONNX.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

HEAD_KERNEL_MM = 12.0
HEAD_STEPS = 8
"""Mean shift with this kernel climbs from the medial superior tip to the centre of the head."""

NECK_STEPS = 3
NECK_FROM_HEAD_MM = 33.0
"""Where the neck is first looked for, from the centre of the head."""

HEAD_LEVELS_MM = tuple(range(-9, 15, 3))
NECK_LEVELS_MM = tuple(range(18, 46, 3))
"""Where sections across the axis are taken, from the centre of the head."""

SECTION_WIDTH_MM = 2.5
SECTION_STEP_MM2 = 50.0
"""Sections that differ by less count as equally wide or narrow."""

SHAFT_LEVELS_MM = (-70.0, -58.0)
"""Below the lesser trochanter, where the cortex is thick and tubular; needs a view that deep."""


@dataclass(frozen=True, eq=False)
class Tissue:
    """Femurs of a batch of views as rows of voxels.

    Attributes:
        femur: ``(N, V)``, the femur's share of each voxel.
        positions_mm: ``(V, 3)``, superior, anterior, medial.
        shape, spacing_mm: of the view.
    """

    femur: Tensor
    positions_mm: Tensor
    shape: tuple[int, int, int]
    spacing_mm: float

    @property
    def voxel_mm3(self) -> float:
        """Volume of a voxel, mm3."""
        return self.spacing_mm**3

    def grid(self, rows: Tensor) -> Tensor:
        """Return rows ``(N, V)`` as ``(N, 1, D, H, W)``."""
        return rows.reshape(-1, 1, *self.shape)

    def eroded_femur(self, depth_mm: float) -> Tensor:
        """Return the femur's share ``(N, V)`` of what lies deeper than a depth."""
        reach = max(round(depth_mm / self.spacing_mm), 1)
        outside = 1.0 - self.grid(self.femur)
        return 1.0 - nn.functional.max_pool3d(outside, 2 * reach + 1, 1, reach).flatten(1)

    def grown_femur(self) -> Tensor:
        """Return the femur's share ``(N, V)`` grown by a voxel."""
        return nn.functional.max_pool3d(self.grid(self.femur), 3, 1, 1).flatten(1)

    def surface_mm2(self) -> Tensor:
        """Return the bone surface in each voxel ``(N, V)``: the gradient of the femur's share."""
        padded = nn.functional.pad(self.grid(self.femur), (1,) * 6, mode="replicate")[:, 0]
        square = torch.full_like(padded[:, 1:-1, 1:-1, 1:-1], 1e-8)
        for axis in (1, 2, 3):
            inner = padded
            for other in {1, 2, 3} - {axis}:
                inner = inner.narrow(other, 1, inner.shape[other] - 2)
            count = inner.shape[axis] - 2
            step = inner.narrow(axis, 2, count) - inner.narrow(axis, 0, count)
            square = square + step * step / 4.0
        return torch.sqrt(square).flatten(1) * self.spacing_mm**2

    def smoothed(self, rows: Tensor, sigma_mm: float) -> Tensor:
        """Return rows after a Gaussian filter; outside the view counts as 0."""
        kernel = self._kernel(sigma_mm)
        reach = len(kernel) // 2
        grid = self.grid(rows)
        for axis in range(3):
            shape, padding = [1, 1, 1, 1, 1], [0, 0, 0]
            shape[2 + axis], padding[axis] = len(kernel), reach
            grid = nn.functional.conv3d(grid, kernel.reshape(shape), padding=padding)
        return grid.flatten(1)

    def smoothing(self, sigma_mm: float) -> Callable[[Tensor], Tensor]:
        """Return the same filter as three products of matrices, with a quicker gradient."""
        kernel = self._kernel(sigma_mm)
        reach = len(kernel) // 2
        axes = []
        for points in self.shape:
            place = torch.arange(points)
            apart = place[:, None] - place + reach
            within = (apart >= 0) & (apart < len(kernel))
            axes.append(torch.where(within, kernel[apart.clamp(0, len(kernel) - 1)], 0.0))

        def smoothed(rows: Tensor) -> Tensor:
            grid = self.grid(rows)[:, 0]
            return torch.einsum("ndhw,Dd,Hh,Ww->nDHW", grid, *axes).flatten(1)

        return smoothed

    def _kernel(self, sigma_mm: float) -> Tensor:
        sigma = sigma_mm / self.spacing_mm
        reach = math.ceil(2.5 * sigma)
        steps = range(-reach, reach + 1)
        kernel = torch.tensor([math.exp(-0.5 * (step / sigma) ** 2) for step in steps])
        return kernel / kernel.sum()


@dataclass(frozen=True, eq=False)
class Landmarks:
    """A femur's own coordinates, all mm.

    Attributes:
        from_head: ``(N, V)`` distance from the centre of the head.
        along, across: ``(N, V)``, along the axis of the neck from the head's centre, and off it.
        upward: ``(N, V)`` cosine of the direction off the axis with the neck's upper side.
        neck_at: ``(N,)`` where along the axis the neck is narrowest.
        head_mm2, neck_mm2: ``(N,)`` widest section of the head, narrowest of the neck.
        slope: ``(N,)`` superior component of the axis, negative downwards.
        shaft: ``(V,)``, 1 in a slab of the shaft.
    """

    from_head: Tensor
    along: Tensor
    across: Tensor
    upward: Tensor
    neck_at: Tensor
    head_mm2: Tensor
    neck_mm2: Tensor
    slope: Tensor
    shaft: Tensor

    def neck(self, width_mm: float, radius_mm: float) -> Tensor:
        """Return the weight ``(N, V)`` of a slab of the neck where it is narrowest."""
        off = (self.along - self.neck_at[:, None]) / width_mm
        return torch.exp(-0.5 * off**2) * below(self.across, radius_mm)


def landmarks(tissue: Tissue) -> Landmarks:
    """Return the landmarks of each femur of a batch."""
    head, axis = _head_and_axis(tissue)
    along, across = _cylinder(tissue, head, axis)
    head_sections = _sections_mm2(tissue, along, across, HEAD_LEVELS_MM) / SECTION_STEP_MM2
    neck_sections = _sections_mm2(tissue, along, across, NECK_LEVELS_MM) / SECTION_STEP_MM2
    narrow = torch.softmax(-neck_sections, dim=1)
    up = _unit(torch.eye(3)[:1] - axis * axis[:, :1])
    superior = tissue.positions_mm[:, 0]
    low, high = SHAFT_LEVELS_MM
    return Landmarks(
        from_head=torch.sqrt(_square_distance(tissue, head).clamp(min=0.01)),
        along=along,
        across=across,
        upward=_along(tissue, head, up) / across.clamp(min=1.0),
        neck_at=(narrow * torch.tensor(NECK_LEVELS_MM, dtype=torch.float32)).sum(1),
        head_mm2=torch.logsumexp(head_sections, dim=1) * SECTION_STEP_MM2,
        neck_mm2=-torch.logsumexp(-neck_sections, dim=1) * SECTION_STEP_MM2,
        slope=axis[:, 0],
        shaft=((superior > low) & (superior < high)).float(),
    )


def below(values: Tensor, limit: float, width: float = 1.5) -> Tensor:
    """Return a soft 1 below a limit and 0 above."""
    return torch.sigmoid((limit - values) / width)


def above(values: Tensor, limit: float, width: float = 1.5) -> Tensor:
    """Return a soft 1 above a limit and 0 below."""
    return torch.sigmoid((values - limit) / width)


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Return the mean ``(N,)`` over voxels; 0 where nothing has weight."""
    return (values * weight).sum(1) / weight.sum(1).clamp(min=1e-3)


def _head_and_axis(tissue: Tissue) -> tuple[Tensor, Tensor]:
    """Return the head's centre ``(N, 3)`` and the unit vector from it along the neck."""
    superior, _, medial = tissue.positions_mm.T
    femur = tissue.femur
    # The clamp keeps the weights of the tip finite in large views.
    tip = torch.exp(((superior + medial) / 6.0).clamp(max=30.0)) * (superior > -30.0)
    head = _centroid(tissue, femur * tip)
    for _ in range(HEAD_STEPS):
        near = torch.exp(-0.5 * _square_distance(tissue, head) / HEAD_KERNEL_MM**2)
        head = _centroid(tissue, femur * near)
    middle = torch.exp(-0.5 * (tissue.positions_mm**2).sum(1) / 15.0**2)
    axis = _unit(_centroid(tissue, femur * middle) - head)
    for _ in range(NECK_STEPS):
        along, across = _cylinder(tissue, head, axis)
        slab = torch.exp(-0.5 * ((along - NECK_FROM_HEAD_MM) / 6.0) ** 2) * below(across, 20.0)
        axis = _unit(_centroid(tissue, femur * slab) - head)
    return head, axis


def _sections_mm2(
    tissue: Tissue, along: Tensor, across: Tensor, levels_mm: tuple[int, ...]
) -> Tensor:
    """Return the femur's section ``(N, L)`` at levels along the axis."""
    rod = tissue.femur * below(across, 32.0)
    sections = [
        (rod * torch.exp(-0.5 * ((along - level) / SECTION_WIDTH_MM) ** 2)).sum(1)
        for level in levels_mm
    ]
    width = SECTION_WIDTH_MM * math.sqrt(2.0 * math.pi)
    return torch.stack(sections, dim=1) * tissue.voxel_mm3 / width


def _centroid(tissue: Tissue, weight: Tensor) -> Tensor:
    return weight @ tissue.positions_mm / weight.sum(1, keepdim=True).clamp(min=1e-6)


def _cylinder(tissue: Tissue, start: Tensor, axis: Tensor) -> tuple[Tensor, Tensor]:
    along = _along(tissue, start, axis)
    return along, torch.sqrt((_square_distance(tissue, start) - along**2).clamp(min=0.01))


def _along(tissue: Tissue, start: Tensor, axis: Tensor) -> Tensor:
    return axis @ tissue.positions_mm.T - (axis * start).sum(1, keepdim=True)


def _square_distance(tissue: Tissue, point: Tensor) -> Tensor:
    positions = tissue.positions_mm
    products = point @ positions.T
    square = (positions**2).sum(1) - 2.0 * products + (point**2).sum(1, keepdim=True)
    return square.clamp(min=0.0)


def _unit(vector: Tensor) -> Tensor:
    return vector / torch.sqrt((vector**2).sum(1, keepdim=True)).clamp(min=1e-6)
