"""How do time and memory of `qctkit augment` grow: with samples, size of scans, workers?

Each row is a process of its own that follows a recipe with what ``transfer.py`` left in FOLDER (the
innermost folder, of one repeat). Time is CPU time of all processes after the plan is made, whose
own is given beside it; wall time is given too, and believed only on a machine that is otherwise
idle. Memory is the sum of the peaks of all processes, beside what was predicted before the run.
An exponent is the slope of a line through the logarithms, with its 95 % interval after Student.

- ``samples``: more and more candidates on the scans that were simulated;
- ``sizes``: two candidates on scans of one field of view and ever finer voxels: at 300 x 512 x 512
  harder than a clinical scan, of which the hip is a part;
- ``workers``: the same candidates in one process and in two.

    python benchmarks/scale.py FOLDER [--parts samples sizes workers]
        [--samples 16 32 64 128] [--sizes 64x64x64 300x512x512] [--workers 1 2] [--recipes ...]

Rows are kept in FOLDER/scale.json as they are finished, and not made again: a run that was stopped
goes on. Remove that file to begin anew. ``--samples 2000`` is possible, and takes hours.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

PARTS = ("samples", "sizes", "workers")
SAMPLES = (16, 32, 64, 128)
SIZES = ("64x64x64", "128x128x128", "150x256x256", "300x512x512")
SIZE_RECIPES = ("femur-density", "femur-morph")
ON_SIZES, ON_WORKERS = 2, 32
"""Candidates in a row of sizes and of workers: there, four batches."""

MB = 1e6
KILOBYTES = 1024.0


@dataclass(frozen=True)
class Row:
    """What one process makes; an empty size is that of the simulated sources."""

    recipe: str
    candidates: int
    size: str = ""
    workers: int = 1

    @property
    def key(self) -> str:
        """Under which it is kept."""
        return f"{self.recipe} {self.candidates} {self.size or 'own'} {self.workers}"


@dataclass(frozen=True)
class Found:
    """What a row took: seconds of CPU and of wall time, megabytes."""

    plan_s: float
    making_s: float
    wall_s: float
    peak_mb: float
    predicted_mb: float


def main() -> None:
    """Print the tables, or be one of their rows."""
    options = _options()
    if options.row:
        print(json.dumps(asdict(_measured(options.folder, Row(**json.loads(options.row))))))
        return
    kept = Kept(options.folder)
    if "samples" in options.parts:
        for recipe in options.recipes or ["voxel-baseline"]:
            _print_samples(kept, [Row(recipe, count) for count in options.samples])
    if "sizes" in options.parts:
        for recipe in options.recipes or SIZE_RECIPES:
            _print_sizes(kept, [Row(recipe, ON_SIZES, size) for size in options.sizes])
    if "workers" in options.parts:
        for recipe in options.recipes or ["voxel-baseline"]:
            rows = [Row(recipe, ON_WORKERS, workers=count) for count in options.workers]
            _print_workers(kept, rows)


@dataclass(frozen=True)
class Kept:
    """Rows that were measured, in a folder."""

    folder: Path
    rows: dict[str, dict[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self._path.is_file():
            self.rows.update(json.loads(self._path.read_text(encoding="utf-8")))

    @property
    def _path(self) -> Path:
        return self.folder / "scale.json"

    def found(self, row: Row) -> Found:
        """Return what a row takes, measured in a process of its own unless it was before."""
        if row.key not in self.rows:
            if row.size:
                _sources(self.folder, row.size)
            command = [sys.executable, __file__, str(self.folder), "--row", json.dumps(asdict(row))]
            ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            self.rows[row.key] = json.loads(ran.stdout.splitlines()[-1])
            self._path.write_text(json.dumps(self.rows, indent=1) + "\n", encoding="utf-8")
        return Found(**self.rows[row.key])


HEAD = f"{'plan, s':>9}{'making, s':>11}{'wall, s':>9}{'peak, MB':>10}{'predicted':>11}"


def _cells(found: Found) -> str:
    return (
        f"{found.plan_s:>9.1f}{found.making_s:>11.1f}{found.wall_s:>9.1f}"
        f"{found.peak_mb:>10.0f}{found.predicted_mb:>11.0f}"
    )


def _print_samples(kept: Kept, rows: Sequence[Row]) -> None:
    print(f"{rows[0].recipe}, by number of candidates\n{'candidates':>12}{HEAD}{'s each':>8}")
    found = []
    for row in rows:
        found.append(kept.found(row))
        each = found[-1].making_s / row.candidates
        print(f"{row.candidates:>12}{_cells(found[-1])}{each:>8.2f}", flush=True)
    counts = [float(row.candidates) for row in rows]
    print(_growth("time", "the number of candidates", counts, [one.making_s for one in found]))
    print(_growth("memory", "the number of candidates", counts, [one.peak_mb for one in found]))
    print()


def _print_sizes(kept: Kept, rows: Sequence[Row]) -> None:
    print(f"{rows[0].recipe}, {ON_SIZES} candidates by size of scan\n{'voxels':>12}{HEAD}")
    found = []
    for row in rows:
        found.append(kept.found(row))
        print(f"{row.size:>12}{_cells(found[-1])}", flush=True)
    voxels = [float(np.prod(_shape(row.size))) for row in rows]
    print(_growth("time", "the number of voxels", voxels, [one.making_s for one in found]))
    print()


def _print_workers(kept: Kept, rows: Sequence[Row]) -> None:
    print(f"{rows[0].recipe}, {ON_WORKERS} candidates by workers\n{'workers':>12}{HEAD}{'gain':>7}")
    first = kept.found(rows[0])
    for row in rows:
        found = kept.found(row)
        gain = first.wall_s / found.wall_s
        print(f"{row.workers:>12}{_cells(found)}{gain:>7.2f}", flush=True)
    print("gain: wall time of the first row over this one's\n")


def _growth(what: str, of: str, sizes: Sequence[float], values: Sequence[float]) -> str:
    """Return in words the power by which values grow, with its 95 % interval."""
    if len(sizes) < 3:
        return f"{what}: too few rows for an exponent"
    fit = stats.linregress(np.log(sizes), np.log(values))
    reach = float(stats.t.ppf(0.975, len(sizes) - 2)) * fit.stderr
    return (
        f"{what} grows as {of} to the power of {fit.slope:.2f} "
        f"({fit.slope - reach:.2f} to {fit.slope + reach:.2f})"
    )


def _shape(size: str) -> tuple[int, int, int]:
    d, h, w = (int(part) for part in size.split("x"))
    return d, h, w


def _sources(folder: Path, size: str) -> Path:
    """Return a cohort of two simulated sources on a grid of this size, in the same box."""
    from qctkit.pipeline.resample import resample
    from qctkit.store.reader import CohortFile
    from qctkit.store.writer import CohortWriter

    path = folder / f"scale-{size}.h5"
    if not path.is_file():
        sources = CohortFile(next(folder.glob("sources-*.h5")))
        men = [one for one in sources.sample_ids if sources.subject(one).sex == "M"]
        with CohortWriter(path, {"command": "resample", "size": size}, overwrite=True) as writer:
            for position, sample_id in enumerate(men[:ON_SIZES]):
                sample = sources.load(sample_id)
                extent = np.array(sample.volume.voxels.shape) * sample.volume.spacing_mm
                d, h, w = extent / _shape(size)
                writer.add(position, resample(sample, (float(d), float(h), float(w))))
    return path


def _measured(folder: Path, row: Row) -> Found:
    """Make candidates in this process and its workers."""
    from qctkit.pipeline.augment import AugmentOptions, augment
    from qctkit.plugin import hookimpl
    from qctkit.predictors.trained import load_predictors
    from qctkit.progress import Silent
    from qctkit.registry import load_registry
    from qctkit.store.reader import CohortFile

    class Clock(Silent):
        """A plugin that notes when the plan is made, and what is said before."""

        planned, planned_wall, predicted = 0.0, 0.0, 0.0

        @hookimpl
        def before_run(self, run: Any) -> None:  # noqa: ARG002
            self.planned, self.planned_wall = _cpu_s(), time.perf_counter()

        def say(self, text: str) -> None:
            if " GB of memory in " in text:
                self.predicted = 1e3 * float(text.split()[1])

    registry, clock = load_registry(only=("femur-density",)), Clock()
    registry.manager.register(clock, "clock")
    sources = _sources(folder, row.size) if row.size else next(folder.glob("sources-*.h5"))
    begun = _cpu_s()
    with tempfile.TemporaryDirectory() as scratch:
        augment(
            CohortFile(sources),
            registry.recipe(row.recipe),
            load_predictors(next(folder.glob("predictors-*")), registry.family),
            registry,
            AugmentOptions(row.candidates, 0, row.candidates),
            Path(scratch) / "made.h5",
            clock,
            reference=CohortFile(folder / "training.h5"),
            workers=row.workers,
        )
    return Found(
        plan_s=clock.planned - begun,
        making_s=_cpu_s() - clock.planned,
        wall_s=time.perf_counter() - clock.planned_wall,
        peak_mb=_peak_mb(row.workers),
        predicted_mb=clock.predicted,
    )


def _cpu_s() -> float:
    """Return the CPU seconds of this process and of its workers that have ended."""
    return sum(os.times()[:4])


def _peak_mb(workers: int) -> float:
    """Return the sum of the peaks of this process and of so many workers, as the largest of them.

    Linux counts in kilobytes.
    """
    own, largest = (
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return KILOBYTES / MB * (own + (workers * largest if workers > 1 else 0))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--samples", type=int, nargs="+", default=SAMPLES)
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="DxHxW")
    parser.add_argument("--workers", type=int, nargs="+", default=(1, 2))
    parser.add_argument("--recipes", nargs="+")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
