"""What a report of many samples costs: seconds, memory, and the size of the page.

Samples of the simulator's default grid are written without an optimisation: each is a source whose
femur gets denser or thinner by a smooth field, with a record such as `qctkit augment` writes. The
report reads, measures and shows them as it does any others. The command runs in a process of its
own, held to two cores where the system allows it.

    python benchmarks/report.py [--samples 200] [--subjects 29]
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from qctkit.cohort import Sample, Synthesis
from qctkit.contracts import Role
from qctkit.pipeline.simulate import simulate
from qctkit.pipeline.versions import versions
from qctkit.progress import Silent
from qctkit.simulate import SimulationSettings
from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter
from qctkit.subject import ATTRIBUTES

BAR = {"seconds": 60.0, "peak MB": 2000.0, "page MB": 10.0}
"""What the project asks of 200 samples on two cores."""

CORES = 2
HU_PER_YEAR = -1.5
PREDICTORS = ("bone-density", "physical-features", "age-weight-network", "reader-network")
"""As many readings a sample as the shipped recipes give."""


def main() -> None:
    """Print what the report took, beside the bar."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--subjects", type=int, default=29)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = SimulationSettings()
        real = simulate(folder / "real.h5", Silent(), subjects=options.subjects, settings=settings)
        write_samples(folder / "made.h5", real, options.samples)
        found = measure(folder)
    print(f"{options.samples} samples of {options.subjects} subjects, {settings.geometry.shape}:")
    for name, value in found.items():
        print(f"  {name:<12}{value:8.1f}" + (f"   (bar {BAR[name]:.0f})" if name in BAR else ""))


def measure(folder: Path) -> dict[str, float]:
    """Return what the command took: wall clock and processor, memory, and what it wrote."""
    page = folder / "report.html"
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "qctkit", "report", f"{folder / 'made.h5'}",
         "--against", f"{folder / 'real.h5'}", "-o", f"{page}"],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=_two_cores,
    )  # fmt: skip
    seconds = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": seconds,
        "CPU seconds": used.ru_utime + used.ru_stime,
        "peak MB": used.ru_maxrss / 1000.0,
        "page MB": page.stat().st_size / 1e6,
        "JSON MB": page.with_suffix(".json").stat().st_size / 1e6,
    }


def write_samples(path: Path, real: CohortFile, count: int) -> None:
    """Write samples that differ from their sources as those of a density recipe do."""
    generator = np.random.default_rng(0)
    with CohortWriter(path, run_record(real, count), window=real.window) as writer:
        for number in range(count):
            source = real.load(real.sample_ids[number % len(real)])
            writer.add(number, make(source, number, float(generator.uniform(-20.0, 20.0))))


def make(source: Sample, number: int, years: float) -> Sample:
    """Return a source whose femur looks some years older by a smooth field of HU."""
    shape = source.volume.voxels.shape
    d, h, w = np.meshgrid(*(np.linspace(-1, 1, length) for length in shape), indexing="ij")
    field = HU_PER_YEAR * years * (1.0 + 0.3 * d + 0.2 * np.sin(3 * h + number) + 0.1 * w)
    change = np.where(source.femur.voxels, np.rint(field), 0.0).astype(np.int16)
    age = float(np.clip((source.subject.age_years or 60.0) + years, 20.0, 95.0))
    label = replace(source.subject, age_years=age)
    return Sample(
        f"{source.sample_id}-a{number:05d}",
        label,
        source.volume.with_voxels(source.volume.voxels + change),
        source.femur,
        synthesis=Synthesis(
            source.sample_id,
            source.subject.subject_id,
            source.femur.voxels,
            candidate_record(source, label.age_years or age, number),
        ),
    )


def candidate_record(source: Sample, age_years: float, number: int) -> dict[str, Any]:
    """Return a record of the shape and length that `qctkit augment` writes."""
    before = source.subject.age_years or 60.0
    labels = {name: getattr(source.subject, name) for name in ATTRIBUTES}
    readings = [
        {
            "predictor": predictor,
            "role": str(Role.READER if predictor == PREDICTORS[-1] else Role.LOOP),
            "attribute": name,
            "before": before,
            "after": before + 0.9 * (age_years - before),
            "expected": age_years,
            "typical_error": 9.0,
            "can_read": True,
        }
        for predictor in PREDICTORS
        for name in ATTRIBUTES
    ]
    words = "a sentence that is about as long as those in which the validators say what they found"
    verdicts = [
        {"validator": name, "passed": True, "figures": figures, "words": words}
        for name, figures in {
            "attributes": {},
            "structure": {"correlation_inside_femur": 0.99},
            "density": {"trabecular_spreads_from_line": 1.0, "cortical_spreads_from_line": 0.5},
        }.items()
    ]
    return {
        "candidate_id": f"candidate-{number:05d}", "number": number, "recipe": "femur-density",
        "source_sample_id": source.sample_id, "source_subject_id": source.subject.subject_id,
        "edits": ["density-field"], "carried": ["age_years"], "figures": {}, "parameters": {},
        "view": {"shape": [48, 36, 52], "spacing_mm": [3.0, 3.0, 3.0]},
        "targets": {"sex": None, "age_years": age_years, "weight_kg": None},
        "labels": {**labels, "age_years": age_years}, "source_labels": labels,
        "readings": readings, "verdicts": verdicts, "accepted": True, "reason": "",
        "stop": "reached", "steps": 100, "losses": [1.0] * 100, "seed": 0,
        "versions": versions(),
    }  # fmt: skip


def run_record(real: CohortFile, count: int) -> dict[str, Any]:
    """Return what the file says of its run."""
    carrying = [
        {"attribute": name, "carried": name == "age_years", "words": f"{name}: as this benchmark"}
        for name in ATTRIBUTES
    ]
    return {
        "command": "augment", "recipe": "femur-density", "account": "changes density",
        "edit": "density of the femur, smoothly", "validators": ["attributes", "structure"],
        "preservation": {"size": 0.05}, "carrying": carrying, "predictors": {"subjects": len(real)},
        "cohort_fingerprint": real.fingerprint, "samples_wanted": count, "batch": 8, "seed": 0,
        "targets": [], "limits": [], "versions": versions(),
    }  # fmt: skip


def _two_cores() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])


if __name__ == "__main__":
    main()
