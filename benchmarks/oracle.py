"""Does ``femur-density`` change what a real change of the attribute would change?

Simulates a cohort, trains on it, makes samples, and compares each accepted sample with its
*oracle*: the same simulated individual with the target's attributes in bone density alone. Also
asks a judge that was never in the loop and never saw these subjects: the density model and the
reader architecture, trained on other simulated subjects.

    python benchmarks/oracle.py [--subjects 29] [--samples 29] [--judge-subjects 120] [--seed 0]
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
import torch

from qctkit.cohort import Sample
from qctkit.density import measure_density
from qctkit.frame import locate
from qctkit.pipeline.augment import AugmentOptions, augment
from qctkit.pipeline.simulate import simulate
from qctkit.pipeline.train import train
from qctkit.predictors.configuration import TrainingConfiguration
from qctkit.predictors.trained import PredictorSet
from qctkit.predictors.training import TrainingSettings, as_tensor
from qctkit.progress import Silent
from qctkit.registry import load_registry
from qctkit.simulate import counterfactual, person_of, simulate_counterfactual
from qctkit.store.reader import CohortFile
from qctkit.view import View, see

BOOTSTRAP_DRAWS = 2000


def main() -> None:
    """Print the table."""
    options = _options()
    registry = load_registry()
    families = TrainingConfiguration().chosen(registry.families())
    settings = TrainingSettings(workers=os.cpu_count() or 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        real = simulate(folder / "real.h5", Silent(), subjects=options.subjects, seed=options.seed)
        predictors = train(real, families, settings, Silent())
        others = simulate(
            folder / "others.h5",
            Silent(),
            subjects=options.judge_subjects,
            seed=options.seed + 1000,
        )
        judges = train(others, families, settings, Silent())
        for recipe in ("femur-density", "voxel-baseline"):
            made = folder / f"{recipe}.h5"
            wanted = AugmentOptions(options.samples, options.seed, 2 * options.samples)
            result = augment(
                real, registry.recipe(recipe), predictors, registry, wanted, made, Silent()
            )
            print(f"\n{recipe}: {result.accepted} accepted, {result.refused} refused")
            if result.accepted:
                _table(CohortFile(made), real, judges)


def _table(made: CohortFile, real: CohortFile, judges: PredictorSet) -> None:
    rows = [_row(sample, real, judges) for sample in made]
    asked = np.array([row["asked_years"] for row in rows])
    print(f"age changes asked: {asked.min():+.0f} to {asked.max():+.0f} years")
    print(f"{'figure':<42} {'sample':>8} {'oracle':>8}  gain [95 % interval over subjects]")
    for name in [key.removesuffix(" oracle") for key in rows[0] if key.endswith(" oracle")]:
        ours = np.array([row[name] for row in rows])
        oracle = np.array([row[f"{name} oracle"] for row in rows])
        low, high = _interval(ours, oracle)
        print(
            f"{name:<42} {np.abs(ours).mean():8.2f} {np.abs(oracle).mean():8.2f}  "
            f"{_gain(ours, oracle):.2f} [{low:.2f}, {high:.2f}]"
        )


def _row(sample: Sample, real: CohortFile, judges: PredictorSet) -> dict[str, float]:
    """Return the changes of a sample and of its oracle from their source."""
    assert sample.synthesis is not None
    record = sample.synthesis.record
    source = real.load(sample.synthesis.source_sample_id)
    person = person_of(source)
    age = record["targets"]["age_years"]
    oracle = simulate_counterfactual(
        person, counterfactual(person, age_years=age), density_only=True
    )
    row = {"asked_years": age - person.age_years}
    before = measure_density(source.volume, source.femur)
    for suffix, volume in (("", sample.volume), (" oracle", oracle.volume)):
        after = measure_density(volume, source.femur)
        row[f"trabecular change, HU{suffix}"] = after.trabecular_hu - before.trabecular_hu
        row[f"cortical change, HU{suffix}"] = after.cortical_hu - before.cortical_hu
    frame = locate(source.femur, source.volume.geometry)
    images = torch.stack(
        [
            as_tensor(see(volume, source.femur, frame, View()))
            for volume in (source.volume, sample.volume, oracle.volume)
        ]
    )
    for name in ("bone-density", "reader-network"):
        judge = judges.named(name)
        with torch.no_grad():
            read = judge(images)[:, judge.attributes.index("age_years")].tolist()
        row[f"age read by judge {name}, years"] = read[1] - read[0]
        row[f"age read by judge {name}, years oracle"] = read[2] - read[0]
    return row


def _gain(ours: np.ndarray, oracle: np.ndarray) -> float:
    """Return the slope through the origin of our changes on the oracle's: 1 is perfect."""
    return float(ours @ oracle / (oracle @ oracle))


def _interval(ours: np.ndarray, oracle: np.ndarray) -> tuple[float, float]:
    generator = np.random.default_rng(0)
    draws = []
    for _ in range(BOOTSTRAP_DRAWS):
        rows = generator.integers(len(ours), size=len(ours))
        draws.append(_gain(ours[rows], oracle[rows]))
    return float(np.quantile(draws, 0.025)), float(np.quantile(draws, 0.975))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=29)
    parser.add_argument("--samples", type=int, default=29)
    parser.add_argument("--judge-subjects", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
