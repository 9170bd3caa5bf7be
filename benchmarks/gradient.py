"""What does a value and input gradient cost by ONNX Runtime, against eager PyTorch?

The built-in predictors at their own view with drawn weights, one thread, in turns: each round times
both once on the same images. Process CPU time, so that a busy neighbour costs little; medians over
rounds, with the range of the ratios. The error beside them is the gradient's from float64.

    python benchmarks/gradient.py [--rounds 7] [--batches 1 2 4] [--families sex-network ...]
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from qctkit.bundled import register_predictors
from qctkit.contracts import PredictorFamily, Role
from qctkit.engine.losses.attributes import SquaredError
from qctkit.gradients import Asked, GradientSource
from qctkit.predictors.gradient_check import femur_images
from qctkit.predictors.gradient_description import SUFFIX
from qctkit.predictors.gradient_eager import EagerGradients, frozen_copy
from qctkit.predictors.gradient_export import export_gradient
from qctkit.predictors.gradient_onnx import load_gradients
from qctkit.predictors.onnx_description import Channel, Description, Estimate, Sees, factors_of
from qctkit.predictors.onnx_scoring import Hardware
from qctkit.predictors.trained import TrainedPredictor

DRAWN = ("coefficients", "weights", "sex_weights")
"""Buffers that are zero before a fit."""


def main() -> None:
    """Print the table."""
    options = _options()
    torch.set_num_threads(1)
    print(
        f"{'predictor':<20}{'batch':>6}{'ONNX ms':>10}{'eager ms':>10}{'eager / ONNX':>22}"
        f"{'errors':>18}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for family in register_predictors():
            if not options.families or family.name in options.families:
                predictor = _drawn(family)
                check = export_gradient(
                    predictor, _described(predictor), SquaredError(), Path(folder)
                )
                graph = load_gradients(Path(folder) / f"{family.name}{SUFFIX}", Hardware(threads=1))
                eager = EagerGradients(
                    frozen_copy(predictor.module, torch.float32),
                    predictor.attributes,
                    SquaredError(),
                )
                for batch in options.batches:
                    errors = f"{max(check.errors.values()):.1e} / {check.eager:.1e}"
                    _print(
                        family.name,
                        batch,
                        _times(graph, eager, predictor, batch, options.rounds),
                        errors,
                    )


def _drawn(family: PredictorFamily) -> TrainedPredictor:
    torch.manual_seed(0)
    module = family.build(family.attributes, family.view)
    for name, values in module.named_buffers():
        if name.endswith(DRAWN):
            values.copy_(0.01 * torch.randn(values.shape))
    names = tuple(family.attributes)
    return TrainedPredictor(family.name, family.name, Role.LOOP, names, family.view, module, {}, {})


def _described(predictor: TrainedPredictor) -> Description:
    estimates = tuple(
        Estimate(name, next(iter(factors_of(name))), column)
        for column, name in enumerate(predictor.attributes)
    )
    return Description(
        predictor.name, predictor.role, predictor.family, estimates, predictor.view,
        (Channel.HU, Channel.FEMUR), Sees.WHOLE, "image", "estimates",
    )  # fmt: skip


def _times(
    graph: GradientSource,
    eager: GradientSource,
    predictor: TrainedPredictor,
    batch: int,
    rounds: int,
) -> np.ndarray:
    """Return the CPU seconds of both, ``(rounds, 2)``."""
    images = femur_images(predictor.view, batch)
    with torch.no_grad():
        read = predictor.module(torch.from_numpy(images)).numpy()
    asked = Asked(read - np.float32(0.75), np.ones_like(read), np.zeros_like(read))
    calls: list[Callable[[], object]] = [lambda: graph(images, asked), lambda: eager(images, asked)]
    for call in calls:
        call()
    times = np.empty((rounds, 2))
    for number in range(rounds):
        for column in (0, 1) if number % 2 else (1, 0):
            began = time.process_time()
            calls[column]()
            times[number, column] = time.process_time() - began
    return times


def _print(name: str, batch: int, times: np.ndarray, errors: str) -> None:
    ours, eager = np.median(times, axis=0)
    ratios = times[:, 1] / times[:, 0]
    spread = f"{np.median(ratios):.2f} [{ratios.min():.2f}..{ratios.max():.2f}]"
    print(
        f"{name:<20}{batch:>6}{1e3 * ours:>10.1f}{1e3 * eager:>10.1f}{spread:>22}{errors:>18}",
        flush=True,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--families", nargs="*", default=[])
    return parser.parse_args()


if __name__ == "__main__":
    main()
