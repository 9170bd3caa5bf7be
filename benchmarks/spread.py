"""What a spread of its own for each subject is worth, against one figure for all, on unseen ones.

    python benchmarks/spread.py FOLDER            # an hour on one core, mostly to simulate
    python benchmarks/spread.py FOLDER --quick    # minutes, no networks

Predictors are trained on draws of 29 simulated subjects by `qctkit train`'s own code, which makes
their spreads honest on the subjects that its folds hold out, and read subjects of no draw. The
figure for all is the error on those same held-out subjects. FOLDER keeps the simulated subjects
and their features; it may be that of benchmarks/predictors.py.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from predictors import POOL_SEED, cohort_views, measured_features, on_view
from torch import nn

from qctkit.contracts import PredictorFamily, TrainingData
from qctkit.predictors.density import DensityFamily, DensityFeatures, LinearOnFeatures
from qctkit.predictors.metrics import DEVIATIONS_68, DEVIATIONS_95
from qctkit.predictors.network import network_families
from qctkit.predictors.physical import PhysicalFamily, PhysicalPredictor
from qctkit.predictors.spread import continuous
from qctkit.predictors.trained import TrainedPredictor
from qctkit.predictors.training import SeenCohort, TrainingSettings, train_predictors
from qctkit.subject import ATTRIBUTES, Sex, Subject
from qctkit.view import HIP_VIEW, View

TRAINED_ON = 29
STEP = 30
"""Women and men come in pairs, so that draws begin at an even number."""

NETWORKS = ("age-weight-network", "reader-network")


@dataclass(frozen=True)
class Score:
    """How spreads did on the unseen subjects of one draw."""

    within_68: float
    within_95: float
    width: float
    log_likelihood: float


class _Density(DensityFamily):
    """Given features in place of images: they are measured once, not for every fit."""

    def build(self, attributes: Sequence[str], view: View) -> LinearOnFeatures:
        """Return a model that takes features for images."""
        model = super().build(attributes, view)
        model.features = nn.Identity()
        return model


class _Physical(PhysicalFamily):
    """The same."""

    def build(self, attributes: Sequence[str], view: View) -> PhysicalPredictor:
        """Return a model that takes features for images."""
        model = super().build(attributes, view)
        model.features = nn.Identity()
        return model


def main() -> None:
    """Train, read and print the table."""
    options = _options()
    everyone = cohort_views(options.folder, POOL_SEED, STEP * options.draws + options.unseen)
    networks = [one for one in network_families() if one.name in NETWORKS]
    seen_by: list[tuple[Sequence[PredictorFamily], TrainingData, int]] = [
        ([_Density()], _densities(everyone), options.draws),
        ([_Physical()], _features(options.folder, everyone), options.draws),
        (networks, everyone, options.networks),
    ]
    found: dict[tuple[str, str, str], list[Score]] = {}
    for families, data, draws in seen_by:
        unseen = data.take(range(STEP * options.draws, len(data.images)))
        for draw in range(draws):
            for key, score in _scores(_cohort(data, draw), unseen, families):
                found.setdefault(key, []).append(score)
            print(f"{families[0].name}: draw {draw + 1} of {draws}", file=sys.stderr)
    _print(found)


def _densities(data: TrainingData) -> TrainingData:
    features, rows = DensityFeatures(), torch.arange(len(data.images)).split(25)
    with torch.no_grad():
        parts = [features(on_view(data.take(some.tolist()), View()).images) for some in rows]
    return replace(data, images=torch.cat(parts), view=View())


def _features(folder: Path, data: TrainingData) -> TrainingData:
    model = PhysicalFamily().build(tuple(ATTRIBUTES), HIP_VIEW)
    features = measured_features(folder, POOL_SEED, data, model)
    return replace(data, images=torch.from_numpy(features))


def _cohort(data: TrainingData, draw: int) -> SeenCohort:
    """Return the subjects of a draw on the view of the families, or with their features."""
    data = data.take(range(STEP * draw, STEP * draw + TRAINED_ON))
    rows = zip(*(data.values[name].tolist() for name in ATTRIBUTES), strict=True)
    subjects = tuple(
        Subject(f"s{number}", Sex.M if sex > 0.5 else Sex.F, age, weight)
        for number, (sex, age, weight) in enumerate(rows)
    )
    return SeenCohort(tuple(one.subject_id for one in subjects), subjects, (_ready(data, View()),))


def _ready(data: TrainingData, view: View) -> TrainingData:
    """Return images on a view; features as they are."""
    images = data.images[:]
    return on_view(data, view) if images.ndim > 2 else replace(data, images=images)


def _scores(
    seen: SeenCohort, unseen: TrainingData, families: Sequence[PredictorFamily]
) -> Iterator[tuple[tuple[str, str, str], Score]]:
    trained = train_predictors(seen, families, TrainingSettings(), {}, lambda _: None)
    for predictor in trained.predictors:
        answers = _answers(predictor, unseen)
        for number, name in enumerate(continuous(predictor.attributes)):
            off = answers[:, predictor.attributes.index(name)] - unseen.values[name].numpy()
            own = answers[:, len(predictor.attributes) + number]
            skill = predictor.skills[name]
            # The same divisor as for spreads, n - 2, so that only what differs by subject differs.
            wider = np.sqrt(skill.subjects / (skill.subjects - 2))
            one_for_all = np.full(len(off), wider * skill.figures["rmse"])
            yield (predictor.name, name, "one for all"), _score(off, one_for_all)
            yield (predictor.name, name, "its own"), _score(off, own)


def _answers(predictor: TrainedPredictor, unseen: TrainingData) -> np.ndarray:
    """Return estimates and spreads ``(N, A + C)``, a few subjects in memory at a time."""
    rows = torch.arange(len(unseen.images)).split(25)
    with torch.no_grad():
        parts = [
            predictor.answering(_ready(unseen.take(some.tolist()), predictor.view).images)
            for some in rows
        ]
    return torch.cat(parts).double().numpy()


def _score(off: np.ndarray, spread: np.ndarray) -> Score:
    size = np.abs(off)
    density = -0.5 * (off / spread) ** 2 - np.log(spread) - 0.5 * np.log(2.0 * np.pi)
    return Score(
        float((size <= DEVIATIONS_68 * spread).mean()),
        float((size <= DEVIATIONS_95 * spread).mean()),
        float(spread.mean()),
        float(density.mean()),
    )


def _print(found: dict[tuple[str, str, str], list[Score]]) -> None:
    print("| predictor | attribute | spread | draws | within 68 % | within 95 % | mean spread |"
          " log likelihood a subject |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    for (predictor, name, kind), scores in found.items():
        values = np.array(
            [[one.within_68, one.within_95, one.width, one.log_likelihood] for one in scores]
        )
        within_68, within_95, width, likelihood = values.mean(axis=0)
        gained = ""
        if kind == "its own":
            plain = [one.log_likelihood for one in found[predictor, name, "one for all"]]
            more = values[:, 3] - np.array(plain)
            error = more.std(ddof=1) / np.sqrt(len(more)) if len(more) > 1 else float("nan")
            gained = f" ({more.mean():+.3f} ± {error:.3f})"
        print(f"| {predictor} | {name} | {kind} | {len(scores)} | {within_68:.3f} |"
              f" {within_95:.3f} | {width:.2f} | {likelihood:.3f}{gained} |")  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--draws", type=int, default=16)
    parser.add_argument("--networks", type=int, default=4, help="draws that train networks too")
    parser.add_argument("--unseen", type=int, default=200)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.quick:
        options.draws, options.networks, options.unseen = 3, 0, 50
    return options


if __name__ == "__main__":
    main()
