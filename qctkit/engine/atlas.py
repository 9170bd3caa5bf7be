"""An atlas of a cohort: its mean femur, each subject's shape and density, and what attributes do.

Every subject is registered to a template in the femur frame. Velocities say how shapes differ, HU
seen through the map how densities differ at the same place. Both are regressed on the attributes,
and the effect of a change asked is carried into the source's own anatomy: it starts an edit.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from qctkit.engine.effects import Array, Design
from qctkit.engine.modes import Modes, mode_weights
from qctkit.engine.registration import (
    displacement_mm,
    flow_shape,
    on_grid,
    register,
    sampled,
    smoothed,
)
from qctkit.view import View

AMPLITUDE = 1.2
"""What effects are multiplied by: registration is stiff and slopes are shrunken, so that the atlas
alone falls short. Found on one simulated cohort of 29, by what a judge read off 60 other people
(1.0, 1.15 and 1.2 were tried); docs/evidence.md measures it on others."""

FAT_HU = -110.0
"""Fat and yellow marrow, -98 to -110 HU on the project's real files (figures, section e)."""

BONE_REACH_MM = 6.0
BONE_SHARE = 0.3
"""Where the template's femur, smoothed so, holds at least this share, shape is bone's."""

LEAST_HU = -200.0
"""Below fat: what is lower is air."""


@dataclass(frozen=True, eq=False)
class Start:
    """What the atlas expects a change of attributes to do to each source, in its own anatomy.

    Attributes:
        view: whose box the knots span.
        velocity_mm: ``(N, 3, knots)``: tissue moves by its flow.
        added_hu: ``(N, D, H, W)`` on the view's grid, before the tissue moves.
        modes: gives how the cohort varies, for an edit that moves within that.
    """

    view: View
    velocity_mm: Tensor
    added_hu: Tensor
    modes: Callable[[], Modes] | None = None


@dataclass(frozen=True, eq=False)
class Atlas:
    """A cohort registered to its template.

    Attributes:
        view: the grid of everything.
        template: ``(1, 2, D, H, W)``, HU and the femur's share.
        velocity_mm: of each subject, ``(N, 3, knots)``.
        hu: of each subject at the template's places, ``(N, D, H, W)``.
        design: the subjects' attributes.
    """

    view: View
    template: Tensor
    velocity_mm: Tensor
    hu: Tensor
    design: Design

    @classmethod
    def learn(cls, images: Tensor, attributes: Mapping[str, Array], view: View) -> "Atlas":
        """Return the atlas of subjects ``(N, 2, D, H, W)`` with attributes ``(N,)``.

        The template is the subject nearest to the mean of the attributes, moved to the middle of
        all shapes.
        """
        middle = _middle(attributes)
        to_each = register(images[middle : middle + 1], images, view)
        back = displacement_mm(-to_each.mean(dim=0, keepdim=True), view)
        template = sampled(images[middle : middle + 1], back, view)
        velocity = register(template, images, view)
        moved = sampled(images, displacement_mm(velocity, view), view)
        design = Design.of(attributes, _skeletal_size(velocity, template, view))
        return cls(view, template, velocity, moved[:, 0], design)

    def starts(self, images: Tensor, changes: Array, left_out: Sequence[Collection[int]]) -> Start:
        """Return the start of each source ``(N, 2, D, H, W)`` for changes asked ``(N, A)``.

        What the cohort says of a source leaves out the samples of its own subject.
        """
        velocities = register(self.template, images, self.view)
        parts = [
            self._start(velocities[n : n + 1], AMPLITUDE * changes[n], own)
            for n, own in enumerate(left_out)
        ]
        added_hu = torch.cat([one.added_hu for one in parts])
        # Nothing is taken below fat, which is what marrow becomes; what is below it stays. The
        # view's voxels hold little noise, which a limit on a scan's own would cut off at one side.
        room_hu = (FAT_HU - images[:, 0]).clamp(max=0.0)
        return Start(
            self.view,
            torch.cat([one.velocity_mm for one in parts]),
            torch.maximum(added_hu, room_hu),
            partial(self._modes, velocities, left_out),
        )

    def _start(self, to_source: Tensor, change: Array, left_out: Collection[int]) -> Start:
        velocity, added = self._effect(change, left_out)
        return Start(self.view, *self._carried(velocity, added[None], to_source))

    def _modes(self, to_sources: Tensor, left_out: Sequence[Collection[int]]) -> Modes:
        """Return the modes of the cohort without each source's own subject."""
        parts = [
            self._carried(*self._varying(own), to_sources[n : n + 1])
            for n, own in enumerate(left_out)
        ]
        return Modes(torch.stack([one for one, _ in parts]), torch.stack([one for _, one in parts]))

    def _varying(self, left_out: Collection[int]) -> tuple[Tensor, Tensor]:
        """Return the modes of shape ``(M, 3, flow grid)`` and density ``(M, D, H, W)``."""
        others = [n for n in range(len(self.hu)) if n not in left_out]
        shapes = self.velocity_mm[others]
        # Air is no density: where a skin is missed by a voxel it would outweigh every bone.
        densities = self.hu[others].clamp(min=LEAST_HU)
        weights = torch.from_numpy(mode_weights((_flat(shapes), _flat(densities)))).float()
        velocity = torch.einsum("mn,nkdhw->mkdhw", weights, shapes)
        return on_grid(velocity, flow_shape(self.view)), torch.einsum(
            "mn,ndhw->mdhw", weights, densities
        )

    def _carried(self, velocity: Tensor, added: Tensor, to_source: Tensor) -> tuple[Tensor, Tensor]:
        """Return velocities ``(M, 3, knots)`` and HU ``(M, D, H, W)`` in a source's anatomy.

        Args:
            velocity: ``(M, 3, flow grid)`` at the template's places.
            added: ``(M, D, H, W)`` there.
            to_source: ``(1, 3, knots)``, the way to the source.
        """
        there = displacement_mm(-to_source, self.view)
        coarse = displacement_mm(-to_source, self.view, finest=False)
        # All of one source at once, as channels.
        turned = self._turned(velocity, to_source).flatten(0, 1)[None]
        carried = sampled(turned, coarse, self.view).unflatten(1, velocity.shape[:2])[0]
        knots = to_source.shape[2:]
        return (
            on_grid(carried, (knots[0], knots[1], knots[2])),
            sampled(added[None], there, self.view)[0],
        )

    def _effect(self, change: Array, left_out: Collection[int]) -> tuple[Tensor, Tensor]:
        """Return the velocity ``(1, 3, flow grid)`` and the HU ``(D, H, W)`` of a change."""
        design = self.design.without(left_out)
        shapes, densities = _flat(self.velocity_mm), _flat(self.hu)
        grid = flow_shape(self.view)
        bone, rest = (
            on_grid(_unflat(change @ effects, self.velocity_mm[:1]), grid)
            for effects in (design.bone_shape_effects(shapes), design.effects(shapes))
        )
        reach = BONE_REACH_MM / self.view.cube_mm
        near = on_grid(smoothed(self.template[:, 1:2], reach) / BONE_SHARE, grid).clamp(0.0, 1.0)
        added = _unflat(change @ design.effects(densities), self.hu[:1])[0]
        return near * bone + (1.0 - near) * rest, added

    def _turned(self, velocity: Tensor, to_source: Tensor) -> Tensor:
        """Return a velocity as the source sees it: turned and stretched by the map's Jacobian."""
        flow = displacement_mm(to_source, self.view, finest=False)
        step_mm = [
            2.0 * float(half) / (points - 1)
            for half, points in zip(self.view.half_extent_mm, flow.shape[2:], strict=True)
        ]
        stretched = velocity.clone()
        for axis, spacing in enumerate(step_mm):
            (slope,) = torch.gradient(flow, spacing=spacing, dim=axis + 2)
            stretched = stretched + slope * velocity[:, axis : axis + 1]
        return stretched


def _middle(attributes: Mapping[str, Array]) -> int:
    """Return the subject nearest to the mean of the attributes."""
    table = np.stack([np.asarray(values, dtype=np.float64) for values in attributes.values()])
    spread = np.maximum(np.nanstd(table, axis=1, keepdims=True), 1e-9)
    away = np.square((table - np.nanmean(table, axis=1, keepdims=True)) / spread).sum(axis=0)
    return int(np.argmin(np.nan_to_num(away, nan=np.inf)))


def _skeletal_size(velocity: Tensor, template: Tensor, view: View) -> Array:
    """Return the logarithm of each subject's femur over the template's volume, ``(N,)``."""
    flow = displacement_mm(velocity, view)
    columns = [
        torch.stack(torch.gradient(flow[:, axis], spacing=list(view.spacing_mm), dim=(1, 2, 3)), 1)
        for axis in range(3)
    ]
    jacobian = torch.stack(columns, dim=1) + torch.eye(3)[None, :, :, None, None, None]
    growth = torch.linalg.det(jacobian.permute(0, 3, 4, 5, 1, 2))
    femur = template[:, 1]
    volume = (growth * femur).sum(dim=(1, 2, 3)) / femur.sum()
    return np.asarray(np.log(np.maximum(volume.double().numpy(), 1e-3)))


def _flat(values: Tensor) -> Array:
    return np.asarray(values.flatten(1).double().numpy())


def _unflat(values: Array, like: Tensor) -> Tensor:
    return torch.from_numpy(values).float().reshape(like.shape)
