"""The value and input gradient of a predictor with its attribute loss, as one graph of operators.

``torch.func.grad`` is traced by ``make_fx`` with a free batch. What autograd would do with weights
is left out, and operators of its backward pass that ONNX does not know are taken apart.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch._decomp import get_decompositions
from torch._dynamo.source import ConstantSource
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext
from torch.utils._python_dispatch import TorchDispatchMode

from qctkit.contracts import AttributeTerm
from qctkit.errors import PredictorError
from qctkit.predictors.gradient_eager import asked_costs, computing_in, frozen_copy

aten = torch.ops.aten

INPUTS = ("image", "wanted", "weight", "side")
OUTPUTS = ("loss", "readings", "gradient")

DERIVED = (
    aten.threshold_backward, aten.sigmoid_backward, aten.tanh_backward, aten.gelu_backward,
    aten.elu_backward, aten.leaky_relu_backward, aten.hardtanh_backward,
    aten.hardswish_backward, aten.hardsigmoid_backward, aten.softplus_backward,
    aten._prelu_kernel_backward, aten._softmax_backward_data, aten._log_softmax_backward_data,
    aten.logsumexp, aten.native_group_norm, aten.native_group_norm_backward,
    aten.native_layer_norm, aten.native_layer_norm_backward, aten.native_batch_norm,
    aten.native_batch_norm_backward, aten._native_batch_norm_legit,
    aten._native_batch_norm_legit_no_training, aten.batch_norm_backward,
    aten._batch_norm_with_update, aten._batch_norm_no_update,
    aten.mse_loss_backward, aten.smooth_l1_loss_backward, aten.huber_loss_backward,
)  # fmt: skip
"""Operators that PyTorch itself can express by simpler ones."""


LONG_SUM = 512
"""Terms above which a sum is taken in parts. ONNX Runtime 1.31.1 adds them one after another: of
90,000 voxels it then lies 1e-5 off in float32, a hundred times as far as PyTorch, which adds parts
itself."""


def trace(
    name: str, module: nn.Module, term: AttributeTerm, inputs: Sequence[Tensor]
) -> GraphModule:
    """Return the graph ``(image, wanted, weight, side) -> (loss, readings, gradient)``.

    Only the batch is free; everything is computed in the precision of the inputs, of which there
    must be two at least: a batch of one would be taken as fixed.

    Raises:
        PredictorError: an operator cannot be traced; it is named.
    """
    dtype = inputs[0].dtype
    sizes = ShapeEnv()
    frozen, watch = frozen_copy(module, dtype), _Watch(sizes)

    def value_and_gradient(
        image: Tensor, wanted: Tensor, weight: Tensor, side: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        def value(image: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            readings = frozen(image)
            losses = asked_costs(readings, wanted, weight, side, term).sum(dim=1)
            return losses.sum(), (losses, readings)

        with watch:
            gradient, (losses, readings) = torch.func.grad(value, has_aux=True)(image)
        return losses, readings, gradient

    fake = FakeTensorMode(allow_non_fake_inputs=True, shape_env=sizes)
    free = [_with_free_batch(fake, one, given) for one, given in zip(INPUTS, inputs, strict=True)]
    try:
        # Inside the mode, so that tensors made on the way have the free batch too.
        with fake, computing_in(dtype):
            graph: GraphModule = make_fx(
                value_and_gradient, _decompositions(), "real", _allow_non_fake_inputs=True
            )(*free)
    except Exception as error:  # torch raises whatever the operator does
        at = watch.failed or watch.last or "its start"
        raise PredictorError(
            f"{name}: its gradient cannot be traced at {at}: {_first_line(error)}"
        ) from error
    if any(one.is_number for one in sizes.replacements.values()):
        watch.fixed = watch.fixed or watch.last
        raise PredictorError(
            f"{name}: its gradient cannot be traced at {watch.fixed}: the batch is fixed there"
        )
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph


class _Watch(TorchDispatchMode):
    """Remembers the last operator, the first that failed, and the first that fixed the batch."""

    def __init__(self, sizes: ShapeEnv) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.last, self.failed, self.fixed = "", "", ""
        self._sizes = sizes

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        # Sizes and devices are asked for by the operator that comes next.
        if func.namespace == "aten" and func is not aten.size.default:
            self.last = str(func)
            if not self.fixed and self._batch_is_fixed():
                self.fixed = self.last
        try:
            return func(*args, **(kwargs or {}))
        except Exception:
            self.failed = self.failed or str(func)
            raise

    def _batch_is_fixed(self) -> bool:
        return any(one.is_number for one in self._sizes.replacements.values())


def _with_free_batch(fake: FakeTensorMode, name: str, given: Tensor) -> Tensor:
    sizes = [DimDynamic.DYNAMIC] + [DimDynamic.STATIC] * (given.dim() - 1)
    return fake.from_tensor(
        given,
        source=ConstantSource(name),
        symbolic_context=StatelessSymbolicContext(dynamic_sizes=sizes),
    )


def _decompositions() -> dict[Any, Callable[..., Any]]:
    return {
        **get_decompositions(DERIVED),
        aten.detach.default: lambda x: x,
        aten.sum.dim_IntList: _sum,
        aten.silu_backward.default: _silu_backward,
        aten.convolution_backward.default: _convolution_backward,
        aten.max_pool2d_with_indices_backward.default: _max_pool_backward,
        aten.max_pool3d_with_indices_backward.default: _max_pool_backward,
        aten.avg_pool2d_backward.default: _average_pool_backward,
        aten.avg_pool3d_backward.default: _average_pool_backward,
        aten.replication_pad1d_backward.default: _replication_backward,
        aten.replication_pad2d_backward.default: _replication_backward,
        aten.replication_pad3d_backward.default: _replication_backward,
        aten.slice_backward.default: _slice_backward,
        aten.select_backward.default: _select_backward,
    }


def _sum(
    values: Tensor,
    axes: Sequence[int] | None,
    keepdim: bool = False,
    dtype: torch.dtype | None = None,
) -> Any:
    """Return a long sum as a sum of sums; a short one, or one over the batch, is left as it is."""
    over = sorted(axis % values.dim() for axis in axes or range(values.dim()))
    sizes = [values.shape[axis] for axis in over]
    if dtype or not all(isinstance(one, int) for one in sizes) or math.prod(sizes) <= LONG_SUM:
        return NotImplemented
    *others, last = over
    size = int(values.shape[last])
    part = next((n for n in range(math.isqrt(size), 1, -1) if size % n == 0), 1)
    if size > LONG_SUM and part > 1:
        values = values.unflatten(last, (size // part, part)).sum(last + 1)
    elif not others:
        return NotImplemented
    found = values.sum(last, keepdim=keepdim)
    return found.sum(others, keepdim=keepdim) if others else found


def _convolution_backward(
    gradient: Tensor,
    image: Tensor,
    weight: Tensor,
    bias_sizes: Sequence[int] | None,  # noqa: ARG001 - of what is not computed
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],  # noqa: ARG001 - the forward pass's
    groups: int,
    wanted: Sequence[bool],  # noqa: ARG001 - weights and biases are frozen
) -> tuple[Tensor, None, None]:
    """Return the gradient of a convolution's input alone.

    With stride 1 it is a convolution with flipped weights, which runtimes compute better than a
    transposed one.
    """
    axes = range(weight.dim() - 2)
    none = [0] * len(axes)
    edges = [dilation[one] * (weight.shape[2 + one] - 1) for one in axes]
    if transposed:
        found = aten.convolution(
            gradient, weight, None, stride, padding, dilation, False, none, groups
        )
    elif groups == 1 and all(one == 1 for one in stride):
        flipped = weight.transpose(0, 1).flip([2 + one for one in axes]).contiguous()
        around = [edges[one] - padding[one] for one in axes]
        found = aten.convolution(gradient, flipped, None, stride, around, dilation, False, none, 1)
    else:
        left = [
            int(image.shape[2 + one])
            - (int(gradient.shape[2 + one] - 1) * stride[one] - 2 * padding[one] + edges[one] + 1)
            for one in axes
        ]
        found = aten.convolution(
            gradient, weight, None, stride, padding, dilation, True, left, groups
        )
    return found, None, None


def _silu_backward(gradient: Tensor, x: Tensor) -> Tensor:
    """Return the gradient of ``x sigmoid(x)``; PyTorch's own way allocates and fills a tensor."""
    rise = torch.sigmoid(x)
    return gradient * (rise * (1.0 + x * (1.0 - rise)))


def _max_pool_backward(gradient: Tensor, image: Tensor, *settings: Any) -> Tensor:
    """Return the gradient where the largest value stood."""
    places = settings[-1]
    flat = torch.zeros_like(image).flatten(2)
    found = flat.scatter_add(2, places.flatten(2), gradient.flatten(2))
    return found.reshape(image.shape)


def _average_pool_backward(
    gradient: Tensor,
    image: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: int | None,
) -> Tensor:
    """Return each block's share of the gradient at each of its voxels."""
    axes = range(len(kernel))
    step, around = list(stride) or list(kernel), list(padding)
    if ceil_mode or divisor is not None or (any(around) and not count_include_pad):
        raise NotImplementedError("pooling with ceil_mode, a divisor or padding left uncounted")
    channels = int(image.shape[1])
    ones = torch.ones((channels, 1, *kernel), dtype=gradient.dtype) / float(
        torch.Size(kernel).numel()
    )
    left = [
        int(image.shape[2 + one])
        - (int(gradient.shape[2 + one] - 1) * step[one] - 2 * around[one] + kernel[one])
        for one in axes
    ]
    spread: Tensor = aten.convolution(
        gradient, ones, None, step, around, [1] * len(kernel), True, left, channels
    )
    return spread


def _replication_backward(gradient: Tensor, image: Tensor, padding: Sequence[int]) -> Tensor:
    """Return the gradient with that of the margins added to the edges which they repeat."""
    found = gradient
    for place in range(len(padding) // 2):
        axis, before, behind = found.dim() - 1 - place, *padding[2 * place : 2 * place + 2]
        size = int(image.shape[axis])
        if size == 1:
            found = found.sum(axis, keepdim=True)
            continue
        first = found.narrow(axis, 0, before + 1).sum(axis, keepdim=True)
        middle = found.narrow(axis, before + 1, size - 2)
        last = found.narrow(axis, before + size - 1, behind + 1).sum(axis, keepdim=True)
        found = torch.cat([first, middle, last], dim=axis)
    return found


def _slice_backward(
    gradient: Tensor, sizes: Sequence[int], axis: int, start: int, end: int, step: int
) -> Tensor:
    """Return the gradient with zeros beside it."""
    axis, size = axis % len(sizes), sizes[axis]
    if step != 1 or not isinstance(size, int):
        found: Tensor = aten.slice_scatter(
            gradient.new_zeros(sizes), gradient, axis, start, end, step
        )
        return found
    first = min(start + size if start < 0 else start, size)
    behind = size - first - int(gradient.shape[axis])
    return _padded(gradient, axis, first, behind)


def _select_backward(gradient: Tensor, sizes: Sequence[int], axis: int, index: int) -> Tensor:
    """Return the gradient with zeros beside it."""
    axis = axis % len(sizes)
    index = index % sizes[axis]
    return _padded(gradient.unsqueeze(axis), axis, index, sizes[axis] - index - 1)


def _padded(values: Tensor, axis: int, before: int, behind: int) -> Tensor:
    """Return values with zeros beside them; padding as such would fix the batch."""
    parts = [_zeros_beside(values, axis, before), values, _zeros_beside(values, axis, behind)]
    return torch.cat([one for one in parts if one is not None], dim=axis)


def _zeros_beside(values: Tensor, axis: int, count: int) -> Tensor | None:
    sizes = [count if other == axis else size for other, size in enumerate(values.shape)]
    return values.new_zeros(sizes) if count else None


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
