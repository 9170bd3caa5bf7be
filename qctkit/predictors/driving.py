"""Networks as the loop runs them: the same readings, with a quicker gradient to the image.

Weights are frozen, so that a gradient by hand needs less than autograd keeps: of each block what
its two activations were given, and nothing else.
"""

import copy
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from qctkit.networks import ResidualEncoder
from qctkit.predictors.features import PhysicalFeatures, StillFeatures
from qctkit.predictors.network import (
    BONE_MIDDLE,
    BONE_SPAN,
    SOFT_TISSUE_HU,
    BoneChannels,
    NetworkPredictor,
)
from qctkit.predictors.spread import FeatureReader
from qctkit.window import Window

CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
"""The layout that convolutions are fastest in, by number of axes."""

CONVOLUTIONS = {4: nn.functional.conv2d, 5: nn.functional.conv3d}
TRANSPOSED = {4: nn.functional.conv_transpose2d, 5: nn.functional.conv_transpose3d}

Convolution: TypeAlias = nn.Conv2d | nn.Conv3d

FEW_CHANNELS = 4
"""Input channels of a strided convolution up to which its gradient is taken place by place."""


def driving(module: nn.Module) -> nn.Module:
    """Return a module with the same readings, for the loop: frozen, its networks made quicker."""
    twin = copy.deepcopy(module).eval().requires_grad_(False)
    for one in twin.modules():
        if isinstance(one, ResidualEncoder):
            one.stages = _Stages(list(one.stages.children()))
        if isinstance(one, NetworkPredictor) and isinstance(one.channels, BoneChannels):
            one.channels = _BoneChannels(one.channels.window)
    for tensor in (*twin.parameters(), *twin.buffers()):
        if tensor.dim() in CHANNELS_LAST:
            tensor.data = _channels_last(tensor.data)
    return twin


def measuring(reader: FeatureReader) -> Callable[[Tensor, Tensor], Tensor]:
    """Return what measures HU and the femur's share, each ``(N, D, H, W)``, for the loop."""
    features = getattr(reader, "features", None)
    if isinstance(features, PhysicalFeatures):
        return StillFeatures(features)
    return lambda hu, femur: reader.measure(torch.stack([hu, femur], dim=1))


class _BoneChannels(BoneChannels):
    """Bone alone, with its gradient by hand."""

    def forward(self, image: Tensor) -> Tensor:
        """Return two channels of images ``(N, 2, D, H, W)`` (HU, femur share)."""
        found: Tensor = _Seen.apply(image, self.window)[0]  # type: ignore[no-untyped-call]
        return found


class _Seen(torch.autograd.Function):
    """Windowed HU of bone in soft tissue, and the femur's share, as of ``BoneChannels``."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, window: Window) -> tuple[Tensor]:
        """Return the channels; keep the image, and which HU lie in the window."""
        hu, femur = image.unbind(dim=1)
        ctx.steepness = BONE_SPAN / window.width_hu
        free = (hu - SOFT_TISSUE_HU).mul_(femur).add_(SOFT_TISSUE_HU - window.low_hu)
        free.mul_(ctx.steepness)
        bone = free.clamp(0.0, BONE_SPAN)
        ctx.save_for_backward(image, free == bone)
        return (torch.stack([bone.sub_(BONE_SPAN * BONE_MIDDLE), femur], dim=1),)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        """Return the gradient with respect to the images."""
        image, within = ctx.saved_tensors
        hu, femur = image.unbind(dim=1)
        found = torch.empty_like(image)
        of_bone = torch.where(within, slope[:, 0], 0.0).mul_(ctx.steepness)
        torch.mul(of_bone, femur, out=found[:, 0])
        torch.mul(of_bone, hu - SOFT_TISSUE_HU, out=found[:, 1]).add_(slope[:, 1])
        return found, None


class _Stages(nn.Module):
    """The stages of a residual encoder: strided convolutions, and a residual block after each."""

    def __init__(self, stages: Sequence[Any]) -> None:
        super().__init__()
        pairs = zip(stages[::2], stages[1::2], strict=True)
        self.blocks = nn.ModuleList(_Block(strided, residual) for strided, residual in pairs)

    @property
    def in_order(self) -> list["_Block"]:
        """The blocks, the finest first."""
        return [one for one in self.blocks if isinstance(one, _Block)]

    def forward(self, image: Tensor) -> Tensor:
        """Return what the last block gives of images ``(N, C, (D,) H, W)``."""
        found: Tensor = _Staged.apply(image, self.in_order)[0]  # type: ignore[no-untyped-call]
        return found


class _Block(nn.Module):
    """A strided convolution, and the residual block behind it."""

    def __init__(self, strided: Convolution, residual: Any) -> None:
        super().__init__()
        few = strided.in_channels <= FEW_CHANNELS
        self.strided = _Stem(strided) if few else _Strided(strided)
        self.first = _Even(residual.first)
        # The block adds half of its second convolution: half the weights, to the last bit.
        self.second = _Even(residual.second, factor=0.5)


class _Staged(torch.autograd.Function):
    """Frozen stages with their gradient to the image."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, blocks: Sequence[_Block]) -> tuple[Tensor]:
        """Return what the last block gives; keep what each activation was given."""
        kept, ctx.sizes, ctx.blocks = [], [], blocks
        hidden = image
        for block in blocks:
            ctx.sizes.append(hidden.shape[2:])
            whole = block.strided(hidden)
            inner = block.first(nn.functional.silu(whole))
            hidden = block.second(nn.functional.silu(inner)).add_(whole)
            kept += [whole, inner]
        ctx.save_for_backward(*kept)
        return (hidden,)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        """Return the gradient with respect to the images."""
        kept, silu_slope = ctx.saved_tensors, torch.ops.aten.silu_backward
        for number in reversed(range(len(ctx.blocks))):
            block, (whole, inner) = ctx.blocks[number], kept[2 * number : 2 * number + 2]
            slope = _channels_last(slope)
            through = silu_slope(block.second.slope(slope), inner)
            through = silu_slope(block.first.slope(through), whole)
            slope = block.strided.slope(through.add_(slope), ctx.sizes[number])
        return slope, None


class _Even(nn.Module):
    """A convolution that keeps the size, and its transpose as one with the weights turned round."""

    weight: Tensor
    bias: Tensor
    turned: Tensor

    def __init__(self, made: Convolution, factor: float = 1.0) -> None:
        super().__init__()
        weight = factor * made.weight
        axes = tuple(range(2, weight.dim()))
        self.register_buffer("weight", weight)
        self.register_buffer("bias", None if made.bias is None else factor * made.bias)
        self.register_buffer("turned", weight.transpose(0, 1).flip(axes))
        self._convolve = CONVOLUTIONS[weight.dim()]

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the convolution."""
        return self._convolve(hidden, self.weight, self.bias, padding=1)

    def slope(self, slope: Tensor) -> Tensor:
        """Return the gradient with respect to what was convolved."""
        return self._convolve(slope, self.turned, padding=1)


class _Strided(nn.Module):
    """A convolution with a stride of 2, and its transpose."""

    weight: Tensor
    bias: Tensor

    def __init__(self, made: Convolution) -> None:
        super().__init__()
        self.register_buffer("weight", made.weight)
        self.register_buffer("bias", made.bias)
        self._convolve = CONVOLUTIONS[made.weight.dim()]
        self._transposed = TRANSPOSED[made.weight.dim()]

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the convolution."""
        return self._convolve(hidden, self.weight, self.bias, stride=2, padding=1)

    def slope(self, slope: Tensor, sizes: torch.Size) -> Tensor:
        """Return the gradient with respect to what was convolved, of these sizes."""
        rest = [1 - size % 2 for size in sizes]
        return self._transposed(slope, self.weight, stride=2, padding=1, output_padding=rest)


class _Stem(_Strided):
    """A strided convolution of few channels, its gradient by an even convolution.

    oneDNN fills the processor's registers with channels, of which an image has two. Places that
    are even and odd along each axis are therefore taken as channels of one place half as fine:
    an even place 2 m took part in the result at m alone, by the middle weight, the odd place
    2 m + 1 in those at m and m + 1, by the last and the first.
    """

    spread: Tensor

    def __init__(self, made: Convolution) -> None:
        super().__init__(made)
        part = self.weight.new_zeros(2, 2, 3)  # of place, result, weight
        part[0, 0, 1] = part[1, 0, 2] = part[1, 1, 0] = 1.0
        spread = self.weight
        for _ in range(spread.dim() - 2):
            # The first axis of the kernel goes; its places and results come last.
            spread = torch.tensordot(spread, part, dims=([2], [2]))
        axes = range((spread.dim() - 2) // 2)
        places, results = ([2 + 2 * axis + which for axis in axes] for which in (0, 1))
        spread = spread.permute(1, *places, 0, *results)
        self.register_buffer("spread", spread.flatten(0, len(places)))

    def slope(self, slope: Tensor, sizes: torch.Size) -> Tensor:
        """Return the gradient with respect to what was convolved, of these sizes."""
        axes = len(sizes)
        found = _cut(self._convolve(slope, self.spread, padding=1), [slice(1, None)] * axes)
        made = slope.new_empty(len(slope), self.weight.shape[1], *(2 * n for n in slope.shape[2:]))
        places = found.unflatten(1, (-1, 2**axes)).unbind(2)
        for place, one in zip(product(range(2), repeat=axes), places, strict=True):
            _cut(made, [slice(first, None, 2) for first in place]).copy_(one)
        return _cut(made, [slice(size) for size in sizes])


def _cut(tensor: Tensor, slices: Sequence[slice]) -> Tensor:
    """Return a part of the space of a tensor ``(N, C, (D,) H, W)``."""
    return tensor[(slice(None), slice(None), *slices)]


def _channels_last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=CHANNELS_LAST[tensor.dim()])
