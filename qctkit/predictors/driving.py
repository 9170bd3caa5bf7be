"""Networks as the loop runs them: the same readings, with a quicker gradient to the image."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from qctkit.networks import ResidualEncoder

CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
"""The layout that convolutions are fastest in, by number of axes."""


def driving(module: nn.Module) -> nn.Module:
    """Return a module with the same readings, for the loop: frozen, its networks made quicker."""
    twin = copy.deepcopy(module).eval().requires_grad_(False)
    for one in twin.modules():
        if isinstance(one, ResidualEncoder):
            one.stages[0] = _Stem(one.stages[0])
    for tensor in (*twin.parameters(), *twin.buffers()):
        if tensor.dim() in CHANNELS_LAST:
            tensor.data = tensor.data.contiguous(memory_format=CHANNELS_LAST[tensor.dim()])
    return twin


class _Stem(nn.Module):
    """The convolution with which an encoder begins, its gradient taken image by image."""

    def __init__(self, first: nn.Module) -> None:
        super().__init__()
        self.first = first

    def forward(self, image: Tensor) -> Tensor:
        """Return what the convolution gives of images ``(N, C, (D,) H, W)``."""
        found: Tensor = _Strided.apply(image, self.first)[0]  # type: ignore[no-untyped-call]
        return found


class _Strided(torch.autograd.Function):
    """A strided convolution of few channels with frozen weights.

    For several images at once PyTorch takes the gradient by oneDNN, which fills the processor's
    registers with channels, of which an image has two; for a single one by a product of matrices
    and a scatter, in half the time.
    """

    @staticmethod
    def forward(image: Tensor, convolution: nn.Conv2d | nn.Conv3d) -> tuple[Tensor]:
        """Return the convolution of images."""
        return (convolution(image),)

    @staticmethod
    def setup_context(
        ctx: Any, inputs: tuple[Tensor, nn.Conv2d | nn.Conv3d], output: tuple[Tensor]
    ) -> None:
        """Keep the shapes: nothing else is needed of an image, since a convolution is linear."""
        ctx.sizes, ctx.convolution = inputs[0].shape[2:], inputs[1]
        ctx.set_materialize_grads(True)
        ctx.outputs = output[0].shape[2:]

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        """Return the gradient with respect to the images."""
        made = ctx.convolution
        transposed = (
            nn.functional.conv_transpose2d
            if isinstance(made, nn.Conv2d)
            else nn.functional.conv_transpose3d
        )
        least = [
            (size - 1) * step - 2 * margin + width
            for size, step, margin, width in zip(
                ctx.outputs, made.stride, made.padding, made.kernel_size, strict=True
            )
        ]
        rest = [size - one for size, one in zip(ctx.sizes, least, strict=True)]
        options = {"stride": made.stride, "padding": made.padding, "output_padding": rest}
        singly = [transposed(one, made.weight, **options) for one in slope.split(1)]
        return torch.cat(singly), None
