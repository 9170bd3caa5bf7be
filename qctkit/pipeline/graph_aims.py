"""Aims whose gradient a graph computes: the predictor in ONNX Runtime, the edit in PyTorch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from qctkit.contracts import AttributeTerm, Gap
from qctkit.engine.loop import Aim
from qctkit.errors import InputError, PluginError, PredictorError
from qctkit.gradients import Asked, GradientSource
from qctkit.predictors.gradient_check import femur_images
from qctkit.predictors.gradient_description import MEASURES_SUFFIX, SUFFIX
from qctkit.predictors.spread import FeatureReader
from qctkit.predictors.trained import TrainedPredictor
from qctkit.progress import Progress

if TYPE_CHECKING:
    from qctkit.predictors.gradient_onnx import OnnxGradients

SAME_WITHIN = 1e-4
"""Difference of a graph's readings from its predictor's, relative to readings of at least 1: what
the twins of an export may differ by. Beyond it the graph is of other weights."""


@dataclass(frozen=True, eq=False, kw_only=True)
class GraphAim(Aim):
    """An aim that one call of a gradient source answers: readings, costs and gradient.

    Attributes:
        source: of what the predictor reads or measures, with the loop's attribute term in it.
        columns: of that, those that are aimed at.
    """

    source: GradientSource
    columns: tuple[int, ...]

    def costs(self, hu: Tensor, femur: Tensor, rows: Tensor, term: AttributeTerm) -> Tensor:
        """Return what each reading of some samples costs, ``(N, C)``; nothing asked, nothing.

        Its gradient is that of costs which all weigh alike, as the loop's mean over them does.

        Raises:
            PluginError: the graph holds another term than the loop asks for.
        """
        if term.name != self.source.attribute_term:
            raise PluginError(
                f"the gradient graph costs readings by {self.source.attribute_term}, the recipe by "
                f"{term.name}; export it with `--attribute-term {term.name}`"
            )
        wanted = self.wanted[rows]
        side = torch.zeros_like(wanted) if self.side is None else self.side[rows]
        asks = ~wanted.isnan()
        weight = torch.where(asks, 1.0 / self.typical_error, 0.0)
        told = (torch.nan_to_num(wanted), weight, side)
        images = torch.stack([hu, femur], dim=1)
        found: Tensor = _Costs.apply(  # type: ignore[no-untyped-call]
            images, self.source, Asked(*map(self._in_columns, told)), self._judged(told, term)
        )
        return found

    def _in_columns(self, values: Tensor) -> np.ndarray:
        placed = np.zeros((len(values), len(self.source.attributes)), dtype=np.float32)
        placed[:, list(self.columns)] = values.numpy()
        return placed

    def _judged(self, told: tuple[Tensor, Tensor, Tensor], term: AttributeTerm) -> "_Judge":
        return _Judge(list(self.columns), told, self.typical_error, term)


@dataclass(frozen=True, eq=False)
class _Judge:
    """What readings cost, without a gradient."""

    columns: list[int]
    told: tuple[Tensor, Tensor, Tensor]
    typical_error: Tensor
    term: AttributeTerm

    def __call__(self, readings: np.ndarray) -> Tensor:
        wanted, weight, side = self.told
        read = torch.from_numpy(readings)[:, self.columns]
        return torch.where(
            weight > 0.0, self.term(Gap(read, wanted, self.typical_error, side)), 0.0
        )


class _Costs(torch.autograd.Function):
    """Costs of readings whose gradient came with them."""

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, source: GradientSource, asked: Asked, judge: _Judge
    ) -> Tensor:
        found = source(images.detach().numpy(), asked)
        ctx.save_for_backward(torch.from_numpy(found.gradient))
        return judge(found.readings)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,), (slope,) = ctx.saved_tensors, slopes
        alike = slope[:, :1]
        if not torch.equal(slope, alike.expand_as(slope)):
            raise ValueError("a gradient graph sums what readings cost; they must weigh alike")
        return alike.reshape(-1, 1, 1, 1, 1) * gradient, None, None, None


def by_graph(aim: Aim, source: GradientSource | None, columns: Sequence[int]) -> Aim:
    """Return an aim at some of the columns of a source, answered by it; without one, as it is."""
    if source is None:
        return aim
    return GraphAim(**vars(aim), source=source, columns=tuple(columns))


def gradient_graphs(
    folder: Path,
    drivers: Sequence[TrainedPredictor],
    progress: Progress,
    *,
    of_measures: bool = False,
) -> "Mapping[str, OnnxGradients]":
    """Return the gradient graphs of predictors that pass their self-check; say which do not.

    With ``of_measures`` they are of what predictors measure, where they do, in place of readings.
    A predictor that brought its own has it already.

    Raises:
        InputError: a graph is missing, or of other weights than its predictor.
        PredictorError: a graph cannot be used.
    """
    from qctkit.predictors.gradient_onnx import load_gradients
    from qctkit.predictors.onnx_scoring import Hardware

    found: dict[str, OnnxGradients] = {}
    for driver in drivers:
        module = driver.module
        if of_measures and not isinstance(module, FeatureReader):
            continue  # it has no say where measures are aimed at
        if driver.gradient is not None:
            continue
        path = folder / f"{driver.name}{MEASURES_SUFFIX if of_measures else SUFFIX}"
        if not path.is_file():
            raise InputError(
                f"{path} is missing; `qctkit export PREDICTORS -o FOLDER --gradient` writes it"
            )
        graph = load_gradients(path, Hardware(threads=1))
        given = module.measure if isinstance(module, FeatureReader) and of_measures else module
        _refuse_other_weights(graph, driver, given, path)
        check = graph.check()
        if check.passed:
            found[driver.name] = graph
        else:
            progress.say(f"{driver.name}: {check.doubt}; its gradient is taken from PyTorch")
    return found


def brought_graphs(drivers: Sequence[TrainedPredictor]) -> "dict[str, OnnxGradients]":
    """Return the gradient graphs that drivers without PyTorch came with, by name.

    Raises:
        PredictorError: one computes something else here than where it was adopted.
    """
    found = {one.name: one.gradient for one in drivers if one.gradient is not None}
    for name, graph in found.items():
        check = graph.check()
        if not check.passed:
            raise PredictorError(
                f"{name}: {check.doubt}; nothing else has its gradient, adopt it again"
            )
    return found


def _refuse_other_weights(
    graph: "OnnxGradients",
    driver: TrainedPredictor,
    given: Callable[[Tensor], Tensor],
    path: Path,
) -> None:
    images = femur_images(driver.view, len(graph.description.reference.losses))
    with torch.no_grad():
        read = given(torch.from_numpy(images)).numpy()
    wanted = graph.description.reference.readings
    own = graph.description.predictor.attributes
    same = own == driver.attributes and read.shape == wanted.shape
    if not same or (np.abs(read - wanted) > SAME_WITHIN * np.maximum(np.abs(wanted), 1.0)).any():
        raise InputError(
            f"{path} reads something else than the predictor "
            f"{driver.name}; export it again from the same folder of predictors"
        )
