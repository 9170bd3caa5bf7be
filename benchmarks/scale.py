"""How do time and memory of `qctkit augment` grow with the number of samples?

Each number of candidates is a process of its own, which follows a recipe on what ``transfer.py``
left in FOLDER. Time is CPU time after the plan is made, whose own is given beside it; memory is the
process's peak. The exponent is the slope of a line through the logarithms of time and number.

    python benchmarks/scale.py FOLDER [--samples 4 8 16] [--recipe voxel-baseline]
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

MB = 1024.0
"""Kilobytes, which Linux counts peaks in, in a megabyte."""


def main() -> None:
    """Print the table, or be one of its rows."""
    options = _options()
    if options.one:
        _make(options.folder, options.recipe, options.samples[0])
        return
    rows = [_row(options, count) for count in options.samples]
    print(f"{'candidates':>10}{'plan, s':>10}{'making, s':>11}{'s each':>8}{'peak, MB':>10}")
    for count, (plan, making, peak) in zip(options.samples, rows, strict=True):
        print(f"{count:>10}{plan:>10.1f}{making:>11.1f}{making / count:>8.2f}{peak:>10.0f}")
    making = [one[1] for one in rows]
    (exponent, _) = np.polyfit(np.log(options.samples), np.log(making), 1)
    print(f"time grows as the number of candidates to the power of {exponent:.2f}")


def _row(options: argparse.Namespace, count: int) -> tuple[float, float, float]:
    arguments = [str(options.folder), "--recipe", options.recipe, "--samples", str(count), "--one"]
    command = [sys.executable, __file__, *arguments]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    plan, making, peak = map(float, ran.stdout.split()[-3:])
    return plan, making, peak


def _make(folder: Path, recipe: str, count: int) -> None:
    """Make candidates and print the seconds of plan and making, and the peak in MB."""
    from qctkit.pipeline.augment import AugmentOptions, augment
    from qctkit.plugin import hookimpl
    from qctkit.predictors.trained import load_predictors
    from qctkit.progress import Silent
    from qctkit.registry import load_registry
    from qctkit.store.reader import CohortFile

    class Clock:
        """A plugin that notes when the plan is made."""

        planned = 0.0

        @hookimpl
        def before_run(self, run: Any) -> None:  # noqa: ARG002
            self.planned = time.process_time()

    registry, clock = load_registry(only=("femur-density",)), Clock()
    registry.manager.register(clock, "clock")
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as scratch:
        augment(
            CohortFile(next(folder.glob("sources-*.h5"))),
            registry.recipe(recipe),
            load_predictors(next(folder.glob("predictors-*")), registry.family),
            registry,
            AugmentOptions(count, 0, count),
            Path(scratch) / "made.h5",
            Silent(),
            reference=CohortFile(folder / "training.h5"),
        )
    ended, peak = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MB
    print(clock.planned - begun, ended - clock.planned, peak)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", type=int, nargs="+", default=[4, 8, 16])
    parser.add_argument("--recipe", default="voxel-baseline")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
