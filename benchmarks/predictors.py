"""What few subjects can teach: predictors trained on 29 subjects against a network on 1,200.

Simulates one pool of training subjects and, from another seed, unseen subjects. Repeat ``k`` trains
on pool subjects from ``k / repeats`` of the pool on (so small cohorts never overlap, and larger
ones hold the smaller) and reads its own unseen subjects. The folder keeps views and readings: a run
that was stopped goes on where it was. Where the simulator has changed since, name another folder.

    python benchmarks/predictors.py FOLDER             the figures of docs/predictors.md, hours
    python benchmarks/predictors.py FOLDER --quick     the same on a small pool, minutes
    python benchmarks/predictors.py FOLDER --only physical-features:29 measured-network:1200
                                                       these rows alone: what the bar needs
"""

import argparse
import functools
import hashlib
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from qctkit.contracts import PredictorFamily, TrainingData
from qctkit.frame import locate
from qctkit.networks import one_thread
from qctkit.predictors import features, landmarks
from qctkit.predictors.density import DensityFamily
from qctkit.predictors.measured import MeasuredFamily, fit_on_measures
from qctkit.predictors.metrics import expected_calibration_error
from qctkit.predictors.network import NetworkFamily, network_families
from qctkit.predictors.physical import PhysicalFamily, fit_on_features
from qctkit.predictors.spread import FeatureReader
from qctkit.predictors.voxel_ridge import VoxelRidgeFamily
from qctkit.simulate import draw_person, simulate_person
from qctkit.subject import ATTRIBUTES
from qctkit.view import HIP_VIEW, View, see

POOL_SEED, UNSEEN_SEED = 0, 1
BLOCK = 25
BOOTSTRAP_DRAWS = 2000
NETWORK = "hip-network"
FEATURES = "physical-features"
YARDSTICK = "measured-network"

MOST_RATIO, LEAST_SEX = 1.5, 0.95
MOST_YARDSTICK = {"age_years": 5.5, "weight_kg": 4.5}


@dataclass(frozen=True)
class Plan:
    """What is trained on how many subjects, and read on how many; ``only`` some rows, or all."""

    folder: Path
    sizes: tuple[int, ...]
    unseen: int
    repeats: int
    only: frozenset[tuple[str, int]] = frozenset()

    @property
    def pool(self) -> int:
        """Subjects to train on, in all."""
        return max(self.sizes)

    def training_rows(self, size: int, repeat: int) -> list[int]:
        """Return which subjects of the pool a repeat trains on."""
        first = repeat * self.pool // self.repeats
        first -= first % 2  # women and men come in pairs
        return [(first + row) % self.pool for row in range(size)]

    def unseen_rows(self, repeat: int) -> list[int]:
        """Return which unseen subjects a repeat reads."""
        return list(range(repeat * self.unseen, (repeat + 1) * self.unseen))


def main() -> None:
    """Train, read and print the tables."""
    plan = _plan()
    pool = cohort_views(plan.folder, POOL_SEED, plan.pool)
    unseen = cohort_views(plan.folder, UNSEEN_SEED, plan.unseen * plan.repeats)
    readings = read_everything(plan, pool, unseen)
    readings |= _ensemble(plan, readings)
    print_table(plan, unseen, readings)
    print_bar(plan, unseen, readings)


def cohort_views(folder: Path, seed: int, subjects: int) -> TrainingData:
    """Return simulated subjects on the grid of ``HIP_VIEW``, from the folder where they are."""
    hu, femur, values = [], [], []
    for first in range(0, subjects, BLOCK):
        path = folder / f"views-{seed}-{first:05d}.npz"
        if not path.is_file():
            _simulate(path, seed, first)
            print(f"simulated subjects {first} to {first + BLOCK - 1} of seed {seed}", flush=True)
        with np.load(path) as block:
            hu.append(block["hu"])
            femur.append(block["femur"])
            values.append(block["values"])
    images = np.stack([np.concatenate(hu)[:subjects], np.concatenate(femur)[:subjects]], axis=1)
    table = torch.from_numpy(np.concatenate(values)[:subjects]).float()
    columns = {name: table[:, column] for column, name in enumerate(ATTRIBUTES)}
    # float16 holds whole HU to 2048, steps of 2 above, and the femur's share to 0.0005.
    return TrainingData(torch.from_numpy(images.astype(np.float16)), columns, HIP_VIEW)


def read_everything(
    plan: Plan, pool: TrainingData, unseen: TrainingData
) -> dict[tuple[str, int, int], np.ndarray]:
    """Return readings ``(U, 3)`` of unseen subjects by predictor, training size and repeat."""
    found = {}
    path = plan.folder / "readings.jsonl"
    kept = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            kept[tuple(entry["key"])] = np.array(entry["readings"])
    for family, size, repeat in _work(plan):
        key = (family.name, size, repeat)
        rows = plan.training_rows(size, repeat), plan.unseen_rows(repeat)
        if isinstance(family, PhysicalFamily | MeasuredFamily):  # Features are measured once.
            found[key] = _fit_and_read_features(plan, family, pool, unseen, rows, repeat)
            continue
        asked = (*key, plan.pool, plan.unseen, plan.repeats, repr(family))
        if asked not in kept:
            train, test = (
                on_view(data.take(chosen), family.view)
                for data, chosen in zip((pool, unseen), rows, strict=True)
            )
            kept[asked] = _fit_and_read(family, train, test, repeat)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": asked, "readings": kept[asked].tolist()}) + "\n")
            print(f"trained {family.name} on {size} subjects, repeat {repeat}", flush=True)
        found[key] = kept[asked]
    return found


def print_table(
    plan: Plan, unseen: TrainingData, readings: Mapping[tuple[str, int, int], np.ndarray]
) -> None:
    """Print every predictor and size: mean over repeats, interval over unseen subjects."""
    print(f"\n{plan.repeats} repeats, {plan.unseen} unseen subjects each; mean (95 %) [repeats]")
    print("| predictor | subjects | sex right | age error, years | weight error, kg |")
    print("|---|---|---|---|---|")
    for name, size in [("mean", 0), *sorted({key[:2] for key in readings})]:
        cells = []
        for column, attribute in enumerate(ATTRIBUTES):
            scores = _scores(plan, unseen, readings, (name, size), column)
            if np.isnan(scores).any():
                cells.append("-")
                continue
            low, high = _interval([scores], lambda one: float(np.mean(one)))
            repeats = ", ".join(_shown(attribute, one.mean()) for one in scores)
            cells.append(
                f"{_shown(attribute, float(np.mean(scores)))} "
                f"({_shown(attribute, low)} to {_shown(attribute, high)}) [{repeats}]"
            )
        print(f"| {name} | {size or '-'} | {' | '.join(cells)} |")


def print_bar(
    plan: Plan, unseen: TrainingData, readings: Mapping[tuple[str, int, int], np.ndarray]
) -> None:
    """Print whether the bar is met, where both its rows were run."""
    few, many = (FEATURES, min(plan.sizes)), (YARDSTICK, max(plan.sizes))
    if not {(*few, 0), (*many, 0)} <= readings.keys():
        return
    sex = _scores(plan, unseen, readings, few, 0)
    low, high = _interval([sex], lambda one: float(np.mean(one)))
    print(f"\nthe bar, {few[0]} on {few[1]} subjects against {many[0]} on {many[1]}:\n")
    _verdict("sex right", float(np.mean(sex)), low, high, float(np.mean(sex)) >= LEAST_SEX)
    print(f"- calibration error of sex: {_calibration(plan, unseen, readings, few):.3f}")
    for column, attribute in enumerate(ATTRIBUTES):
        if attribute not in MOST_YARDSTICK:
            continue
        ours, yardstick = (_scores(plan, unseen, readings, key, column) for key in (few, many))
        ratio = float(np.mean(ours) / np.mean(yardstick))
        low, high = _interval([ours, yardstick], lambda a, b: float(np.mean(a) / np.mean(b)))
        _verdict(f"{attribute} ratio", ratio, low, high, ratio <= MOST_RATIO)
        low, high = _interval([yardstick], lambda one: float(np.mean(one)))
        error = float(np.mean(yardstick))
        met = error <= MOST_YARDSTICK[attribute]
        _verdict(f"{attribute} error of the yardstick", error, low, high, met)


def _ensemble(
    plan: Plan, readings: Mapping[tuple[str, int, int], np.ndarray]
) -> dict[tuple[str, int, int], np.ndarray]:
    """Return the features' readings of few subjects, a fifth of the way to a network's."""
    few = min(plan.sizes)
    if not {(FEATURES, few, 0), (NETWORK, few, 0)} <= readings.keys():
        return {}
    return {
        ("features and network, 4 to 1", few, repeat): 0.8 * readings[FEATURES, few, repeat]
        + 0.2 * readings[NETWORK, few, repeat]
        for repeat in range(plan.repeats)
    }


def _verdict(words: str, value: float, low: float, high: float, met: bool) -> None:
    print(f"- {words}: {value:.3f} ({low:.3f} to {high:.3f}), {'met' if met else 'NOT met'}")


def _work(plan: Plan) -> list[tuple[PredictorFamily, int, int]]:
    """Return what is to be trained of all or of the rows asked for."""
    work = _whole_work(plan)
    return [one for one in work if not plan.only or (one[0].name, one[1]) in plan.only]


def _whole_work(plan: Plan) -> list[tuple[PredictorFamily, int, int]]:
    """Return what is to be trained: what the bar asks for first, the learning curves last."""
    few, many = min(plan.sizes), max(plan.sizes)
    repeats = range(plan.repeats)
    networks = {family.name: family for family in network_families()}
    work: list[tuple[PredictorFamily, int, int]] = []
    work += [(PhysicalFamily(), size, k) for size in plan.sizes for k in repeats]
    work += [(MeasuredFamily(), size, k) for size in plan.sizes for k in repeats]
    work += [(DensityFamily(), size, k) for size in plan.sizes for k in repeats]
    work += [(VoxelRidgeFamily(), size, k) for size in plan.sizes for k in repeats]
    hip = networks[NETWORK]
    work += [(_scheduled(hip, size), size, k) for size in (few, many) for k in repeats]
    work += [
        (networks[name], few, k) for name in ("sex-network", "reader-network") for k in repeats
    ]
    between = [size for size in plan.sizes if few < size < many]
    return work + [(_scheduled(hip, size), size, k) for size in between for k in repeats]


def _scheduled(family: NetworkFamily, subjects: int) -> NetworkFamily:
    """Return a family that sees few subjects more often: up to 60 times, 14,400 views in all."""
    epochs = int(np.clip(14400 // subjects, 12, 60))
    return replace(family, schedule=replace(family.schedule, epochs=epochs))


def _fit_and_read(
    family: PredictorFamily, train: TrainingData, test: TrainingData, seed: int
) -> np.ndarray:
    with one_thread():
        module = family.fit(train, family.attributes, seed)
        with torch.no_grad():
            parts = [module(images) for images in test.images.split(BLOCK)]
    read = torch.cat(parts).numpy()
    columns = [
        read[:, family.attributes.index(name)]
        if name in family.attributes
        else np.full(len(read), np.nan)
        for name in ATTRIBUTES
    ]
    return np.stack(columns, axis=1).astype(float)


def _fit_and_read_features(
    plan: Plan,
    family: PhysicalFamily | MeasuredFamily,
    pool: TrainingData,
    unseen: TrainingData,
    rows: tuple[list[int], list[int]],
    seed: int,
) -> np.ndarray:
    """Do as ``_fit_and_read``, measuring the features of each subject once for all sizes."""
    torch.manual_seed(seed)
    model = family.build(family.attributes, HIP_VIEW)
    learned = measured_features(plan.folder, POOL_SEED, pool, model)[rows[0]]
    taken = pool.take(rows[0])
    values = taken.values
    with one_thread():
        if isinstance(family, MeasuredFamily):
            features = torch.from_numpy(learned)
            fit_on_measures(model, features, values, family.attributes, family.schedule, seed)
        else:
            exact = {name: column.double().numpy() for name, column in values.items()}
            fit_on_features(model, learned.astype(float), exact, taken.subjects)
    read = measured_features(plan.folder, UNSEEN_SEED, unseen, model)[rows[1]]
    with torch.no_grad():
        return model.eval().read(torch.from_numpy(read)).double().numpy()


def measured_features(
    folder: Path, seed: int, data: TrainingData, model: FeatureReader
) -> np.ndarray:
    """Return the features ``(N, F)`` of a cohort's first subjects, kept in the folder."""
    parts = []
    for first in range(0, len(data.images), BLOCK):
        last = min(first + BLOCK, len(data.images))
        path = folder / f"features-{_code()}-{seed}-{first:05d}-{last:05d}.npy"
        if not path.is_file():
            block = data.take(range(first, last))
            with torch.no_grad():
                np.save(path, model.measure(on_view(block, HIP_VIEW).images).numpy())
        parts.append(np.load(path))
    return np.concatenate(parts)


@functools.cache
def _code() -> str:
    """Return a name of how features are measured: other code measures them anew."""
    text = "".join(inspect.getsource(module) for module in (features, landmarks))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _scores(
    plan: Plan,
    unseen: TrainingData,
    readings: Mapping[tuple[str, int, int], np.ndarray],
    predictor: tuple[str, int],
    column: int,
) -> np.ndarray:
    """Return what each reading is worth, ``(repeats, U)``: 1 or 0 for sex, size of the error."""
    scores = []
    name = list(ATTRIBUTES)[column]
    for repeat in range(plan.repeats):
        true = unseen.take(plan.unseen_rows(repeat)).values[name].numpy()
        if predictor[0] == "mean":
            read = np.full(len(true), 1.0 if name == "sex" else true.mean())
        else:
            read = readings[(*predictor, repeat)][:, column]
        right = np.where(np.isnan(read), np.nan, (read > 0) == (true > 0.5))
        scores.append(right if name == "sex" else np.abs(read - true))
    return np.array(scores, dtype=float)


def _calibration(
    plan: Plan,
    unseen: TrainingData,
    readings: Mapping[tuple[str, int, int], np.ndarray],
    predictor: tuple[str, int],
) -> float:
    """Return the expected calibration error of sex, over the unseen subjects of all repeats."""
    repeats = range(plan.repeats)
    true = np.concatenate([unseen.values["sex"][plan.unseen_rows(one)].numpy() for one in repeats])
    logits = np.concatenate([readings[(*predictor, one)][:, 0] for one in repeats])
    return expected_calibration_error(true.astype(float), logits)


def _interval(scores: Sequence[np.ndarray], figure: object) -> tuple[float, float]:
    """Return the 95 % interval of a figure over draws of unseen subjects within each repeat."""
    generator = np.random.default_rng(0)
    repeats, subjects = scores[0].shape
    draws = []
    for _ in range(BOOTSTRAP_DRAWS):
        rows = generator.integers(subjects, size=(repeats, subjects))
        drawn = [np.take_along_axis(one, rows, axis=1) for one in scores]
        draws.append(figure(*drawn))  # type: ignore[operator]
    low, high = np.quantile(draws, (0.025, 0.975))
    return float(low), float(high)


def _shown(attribute: str, value: float) -> str:
    return f"{value:.3f}" if attribute == "sex" else f"{value:.2f}"


def on_view(data: TrainingData, view: View) -> TrainingData:
    """Return float32 data on a smaller grid of the same spacing: the middle of the larger one."""
    if view.spacing_mm != data.view.spacing_mm:
        raise ValueError(f"the views kept have a spacing of {data.view.spacing_mm} mm")
    margins = [(a - b) // 2 for a, b in zip(data.view.shape, view.shape, strict=True)]
    d, h, w = (
        slice(first, first + count) for first, count in zip(margins, view.shape, strict=True)
    )
    images = data.images[:, :, d, h, w].float()
    images[:, 1] /= 255.0
    return TrainingData(images, data.values, view, data.subjects)


def _simulate(path: Path, seed: int, first: int) -> None:
    hu, femur, values = [], [], []
    for index in range(first, first + BLOCK):
        person = draw_person(seed, index)
        sample = simulate_person(person)
        frame = locate(sample.femur, sample.volume.geometry)
        image = see(sample.volume, sample.femur, frame, HIP_VIEW)
        hu.append(np.rint(image.hu).astype(np.int16))
        femur.append(np.rint(image.femur * 255).astype(np.uint8))
        values.append([sample.subject.value(name) for name in ATTRIBUTES])
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, hu=np.stack(hu), femur=np.stack(femur), values=np.array(values, dtype=float))
    partial.replace(path)


def _plan() -> Plan:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[29, 100, 400, 1200])
    parser.add_argument("--unseen", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument(
        "--only", type=_row, nargs="+", default=[], metavar="NAME:SIZE", help="these rows alone"
    )
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    plan = Plan(options.folder, tuple(sorted(options.sizes)), options.unseen, options.repeats)
    if options.quick:
        plan = Plan(options.folder, (29, 60), 50, 1)
    plan = replace(plan, only=frozenset(options.only))
    rows = {(family.name, size) for family, size, _ in _whole_work(plan)}
    if unknown := plan.only - rows:
        shown = ", ".join(f"{name}:{size}" for name, size in sorted(unknown))
        parser.error(f"there is no row {shown}; see the table of docs/predictors.md")
    return plan


def _row(text: str) -> tuple[str, int]:
    """Return a predictor's name and its training subjects from ``NAME:SIZE``."""
    name, _, size = text.rpartition(":")
    return name, int(size)


if __name__ == "__main__":
    main()
