"""How fast are frozen predictors scored: ONNX Runtime against PyTorch, eager and compiled?

The built-in predictors, at their own view and with drawn weights (their values cost no time). All
three score the same images in the same process with the same number of threads, in turns: each
round times every one of them once, so that a busy neighbour slows all alike. Times are medians over
rounds, with the middle half of the rounds behind them; the ratio is ONNX Runtime's throughput over
the other's.

    python benchmarks/score.py [--rounds 9] [--batches 1 8 32] [--threads 1 2] [--no-compile]
"""

import argparse
import platform
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from qctkit.contracts import Role
from qctkit.predictors.onnx_export import export_predictor
from qctkit.predictors.onnx_loading import load_described, trial_images
from qctkit.predictors.onnx_scoring import Hardware
from qctkit.predictors.trained import TrainedPredictor
from qctkit.registry import load_registry
from qctkit.view import View

WARM_UP = 2
LEAST_SECONDS = 0.05
"""A timing repeats its call until this has passed: the clock and the scheduler are too coarse for
calls of a millisecond."""

Score = Callable[[], object]


def main() -> None:
    """Print the table."""
    options = _options()
    torch.manual_seed(0)
    families = load_registry().families()
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}")
    print(
        f"{'predictor':<20}{'threads':>8}{'batch':>6}  {'':<13}{'images/s':>9}"
        f"{'ms a batch, middle half':>30}{'ONNX Runtime':>14}"
    )
    with tempfile.TemporaryDirectory() as name:
        predictors = [_untrained(family.name) for family in families]
        for predictor in predictors:
            export_predictor(predictor, {}, Path(name))
        for threads in options.threads:
            torch.set_num_threads(threads)
            for predictor in predictors:
                for batch in options.batches:
                    contestants = _contestants(
                        predictor, Path(name), batch, threads, compiled=not options.no_compile
                    )
                    _print(predictor.name, threads, batch, _times(contestants, options.rounds))


def _untrained(name: str) -> TrainedPredictor:
    family, view = load_registry().family(name), View()
    module = family.build(family.attributes, view)
    return TrainedPredictor(name, name, Role.LOOP, family.attributes, view, module, {}, {})


def _contestants(
    predictor: TrainedPredictor, folder: Path, batch: int, threads: int, *, compiled: bool
) -> dict[str, Score]:
    images = trial_images(predictor.view, batch)
    tensor = torch.from_numpy(images)
    twin = load_described(folder / f"{predictor.name}.onnx", Hardware(threads=threads))
    found: dict[str, Score] = {
        "ONNX Runtime": lambda: twin.score(images),
        "eager": _in_inference_mode(predictor.module, tensor),
    }
    if compiled:
        # Compiled code has its number of threads built in, and after eight versions of one piece
        # of code PyTorch goes on uncompiled, with no more than a warning.
        torch.compiler.reset()
        module: nn.Module = torch.compile(predictor.module, dynamic=False)
        found["compiled"] = _in_inference_mode(module, tensor)
    return found


def _in_inference_mode(module: nn.Module, images: torch.Tensor) -> Score:
    def score() -> torch.Tensor:
        with torch.inference_mode():
            estimates: torch.Tensor = module(images)
            return estimates

    return score


def _times(contestants: Mapping[str, Score], rounds: int) -> dict[str, np.ndarray]:
    """Return the seconds a call of each contestant, one a round; rounds take turns."""
    for score in contestants.values():
        for _ in range(WARM_UP):
            score()
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds):
        names = list(contestants)
        # Nobody is always first: the first call of a round finds the cache in another state.
        for name in names[number % len(names) :] + names[: number % len(names)]:
            times[name].append(_seconds(contestants[name]))
    return {name: np.array(values) for name, values in times.items()}


def _seconds(score: Score) -> float:
    calls, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < LEAST_SECONDS or not calls:
        score()
        calls += 1
    return passed / calls


def _print(name: str, threads: int, batch: int, times: Mapping[str, np.ndarray]) -> None:
    ours = float(np.median(times["ONNX Runtime"]))
    for contestant, seconds in times.items():
        low, middle, high = np.quantile(seconds, [0.25, 0.5, 0.75])
        ratio = "" if contestant == "ONNX Runtime" else f"{middle / ours:.2f} x"
        print(
            f"{name:<20}{threads:>8}{batch:>6}  {contestant:<13}{batch / middle:>9.0f}"
            f"{1e3 * middle:>12.2f} ({1e3 * low:.2f} to {1e3 * high:.2f}){ratio:>10}",
            flush=True,
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--no-compile", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
