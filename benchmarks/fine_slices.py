"""What does it cost to train a slice network on large, fine slices of whole femurs?

Simulates subjects, trains one fit of `slice-network` on 50 slices of 512 x 512 points (3 mm apart,
0.4 mm in plane), reads every subject by PyTorch, exports it and runs `qctkit predict` on them all.
After each stage it prints the seconds that it took, the seconds that a core computed, and the most
memory that the process has held so far (peak resident set). It also prints what the file of views,
in float16, rounds away: in HU and the femur's share, in readings of slices, and in what the
predictors on features learn and read.

    python benchmarks/fine_slices.py FOLDER [--subjects 29] [--epochs 1] [--batch 8]
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from qctkit.frame import locate
from qctkit.networks import one_thread
from qctkit.pipeline.simulate import simulate
from qctkit.predictors.network import LEAST_FEMUR_MM2, NetworkFamily, shown_slices
from qctkit.predictors.onnx_export import Parity, export_predictor
from qctkit.predictors.trained import TrainedPredictor
from qctkit.predictors.training import SeenCohort, as_tensor, read_singly, see_cohort
from qctkit.progress import Silent
from qctkit.registry import load_registry
from qctkit.simulate import SimulationSettings
from qctkit.store.reader import CohortFile
from qctkit.view import View, see

VIEW = View((50, 512, 512), (3.0, 0.4, 0.4))
SCAN = SimulationSettings(spacing_mm=(3.0, 0.9, 0.9), psf_fwhm_mm=(3.0, 1.8, 1.8))


def main() -> None:
    """Print the stages, then the rounding."""
    options = _options()
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / f"real-{options.subjects}.h5"
    with one_thread():
        with _stage("simulate"):
            if not path.is_file():
                simulate(path, Silent(), subjects=options.subjects, settings=SCAN)
        cohort = CohortFile(path)
        with _stage("look at subjects"):
            seen = see_cohort(cohort, options.folder, VIEW)
        predictor = _train(seen, options.epochs, options.batch)
        with _stage("read every subject"), torch.no_grad():
            readings = read_singly(predictor, seen.data)
        with _stage("export, with parity"):
            _, check = export_predictor(predictor, {}, options.folder)
        print(f"largest difference of ONNX Runtime: {_worst(check.parities):.1e}")
        _predict(path, options.folder / f"{predictor.name}.onnx")
        _print_rounding(cohort, seen, predictor, readings)
        print_rounding_of_features(cohort, options.folder)


def _train(seen: SeenCohort, epochs: int, batch: int) -> TrainedPredictor:
    family = load_registry().family("slice-network")
    assert isinstance(family, NetworkFamily)
    schedule = replace(family.schedule, epochs=epochs, batch=batch)
    family = replace(family, view=VIEW, schedule=schedule)
    shown = shown_slices(seen.data)
    size_mb = seen.data.images[:1].numel() * 2 / 1e6
    print(
        f"{len(seen.subjects)} subjects, {int(shown.sum())} slices with more than "
        f"{LEAST_FEMUR_MM2:g} mm2 of femur, batches of {batch}; {size_mb:.0f} MB a subject on disk"
    )
    began = time.process_time()
    with _stage("train one fit"):
        module = family.fit(seen.data, family.attributes, 0)
    passed = (time.process_time() - began) / epochs
    print(f"an epoch: {passed:.0f} s of a core, {passed / int(shown.sum()):.2f} s a slice")
    return TrainedPredictor(
        family.name, family.name, family.role, family.attributes, VIEW, module, {}, {},
        {"encoder": "slices"},
    )  # fmt: skip


def _predict(cohort: Path, model: Path) -> None:
    command = (sys.executable, "-m", "qctkit", "predict", cohort, "--predictors", model)
    began = time.perf_counter()
    subprocess.run(
        [*map(str, command), "--device", "cpu", "--threads", "1"],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _print_stage("qctkit predict, a process of its own", began, resource.RUSAGE_CHILDREN)


def _print_rounding(
    cohort: CohortFile, seen: SeenCohort, predictor: TrainedPredictor, readings: torch.Tensor
) -> None:
    """Print how far the stored view of the first subject is from the view itself."""
    sample = next(iter(cohort))
    image = see(sample.volume, sample.femur, locate(sample.femur, sample.volume.geometry), VIEW)
    exact = torch.from_numpy(np.stack([image.hu, image.femur]))[None]
    away = (next(seen.data.singly()) - exact).abs()[0]
    with torch.no_grad():
        read = (readings[:1] - predictor(exact)).abs()[0]
    print(
        f"rounded away: at most {away[0].max():.2f} HU (mean {away[0].mean():.3f}) and "
        f"{away[1].max():.4f} of a femur's share; readings move by at most "
        + ", ".join(f"{v:.4f} ({n})" for n, v in zip(predictor.attributes, read, strict=True))
    )


def print_rounding_of_features(cohort: CohortFile, folder: Path) -> None:
    """Print how far readings move where a predictor on features learned from rounded views."""
    for name in ("physical-features", "bone-density"):
        family = load_registry().family(name)
        exact = torch.stack(
            [
                as_tensor(
                    see(one.volume, one.femur, locate(one.femur, one.volume.geometry), family.view)
                )
                for one in cohort
            ]
        )
        rounded = see_cohort(cohort, folder, family.view).data
        modules = [
            family.fit(replace(rounded, images=images), family.attributes, 0)
            for images in (exact, rounded.images)
        ]
        with torch.no_grad():
            before, after = (module(exact) for module in modules)
        moved = (after - before).abs().amax(dim=0)
        print(
            f"{name} on rounded views of {len(exact)} subjects: readings move by at most "
            + ", ".join(f"{v:.4f} ({n})" for n, v in zip(family.attributes, moved, strict=True))
        )


def _worst(parities: Sequence[Parity]) -> float:
    return max(one.relative_difference for one in parities)


@contextmanager
def _stage(name: str) -> Iterator[None]:
    began, before = time.perf_counter(), _core_seconds(resource.RUSAGE_SELF)
    yield
    _print_stage(name, began, resource.RUSAGE_SELF, before)


def _print_stage(name: str, began: float, who: int, before: float = 0.0) -> None:
    # Linux counts in KiB.
    peak_gb = resource.getrusage(who).ru_maxrss * 1024 / 1e9
    print(
        f"{name:<36}{time.perf_counter() - began:>6.0f} s, {_core_seconds(who) - before:.0f} of a "
        f"core; peak {peak_gb:.2f} GB",
        flush=True,
    )


def _core_seconds(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--subjects", type=int, default=29)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch", type=int, default=8)
    return parser.parse_args()


if __name__ == "__main__":
    main()
