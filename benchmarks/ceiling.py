"""What the truth itself tells of sex, age and weight: the most that any reader of scans can read.

    python benchmarks/ceiling.py [--learned 20000] [--unseen 2000]    # minutes, nothing is rendered

Persons of the simulator are drawn, and the figures that their bodies are made from are taken with
no noise: sizes and angles of the femur, density and cortex, muscle and fat. A network learns sex,
age and weight from thousands of persons. A reader of scans sees no more than these figures (and, of
weight, the noise and contrast of the scan, left out here), so it can do better by luck alone. Then
few persons are learned from, with the same truth: what is lost there is lost to their number, not
to any scan.
"""

import argparse
import warnings
from collections.abc import Sequence
from dataclasses import astuple, fields

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from qctkit.predictors.joint import fit_joint
from qctkit.predictors.physical import NOISE_SUBJECTS
from qctkit.simulate import Person, draw_person
from qctkit.simulate.quality import BoneQuality, bone_quality
from qctkit.simulate.shape import FemurShape, femur_shape
from qctkit.simulate.soft_tissue import (
    body_contour,
    mean_muscle_hu,
    septum_width,
    trochanteric_tissue_mm,
)
from qctkit.subject import ATTRIBUTES, Sex

LEARNED_SEED, UNSEEN_SEED = 7, 1
FEW, DRAWS = (29, 100, 1200), 30

SHAPE = tuple(field.name for field in fields(FemurShape))
BONE = tuple(field.name for field in fields(BoneQuality))
MUSCLE = ("muscle_hu", "fat_between_muscles")
BODY = ("trochanteric_tissue_mm", "half_depth_mm")
FIGURES = SHAPE + BONE + MUSCLE + BODY
PARTS = {
    "all": FIGURES,
    "the femur, shape and bone": SHAPE + BONE,
    "its shape": SHAPE,
    "its bone": BONE,
    "muscle and the fat in it": MUSCLE,
}

SEXED_BY = (
    *("head_radius_mm", "neck_radius_mm", "shaft_radius_mm", "neck_length_mm"),
    *BONE,
    "trochanteric_tissue_mm",
)
"""What tells sex: fewer figures are learned better from few persons."""


def main() -> None:
    """Draw, learn and print the two tables."""
    options = _options()
    learned = _persons(LEARNED_SEED, options.learned)
    unseen = _persons(UNSEEN_SEED, options.unseen)
    print(f"a network on the truth of {options.learned} persons, {options.unseen} unseen\n")
    print("| it is told | sex right | age error, years | weight error, kg |\n|---|---|---|---|")
    for name, part in PARTS.items():
        print(f"| {name} | {_row(_network(learned, unseen, part), unseen)} |", flush=True)
    print(f"\nthe truth of few persons, {DRAWS} draws (SD over draws), the same unseen\n")
    print("| reader | persons | sex right | age error, years | weight error, kg |")
    print("|---|---|---|---|---|")
    for few in FEW:
        for name, part in (("all figures", FIGURES), ("those that tell sex", SEXED_BY)):
            rows = [_gaussian(_some(learned, few, draw), unseen, part) for draw in range(DRAWS)]
            print(f"| joint Gaussian, {name} | {few} | {_over_draws(rows, unseen)} |", flush=True)
        known = [_known_spread(_some(learned, few, draw), learned, unseen) for draw in range(DRAWS)]
        print(f"| the spread known, two means learned | {few} | {_sexes(known, unseen)} | - | - |")


_Truth = tuple[np.ndarray, np.ndarray]
"""Figures ``(N, F)``, and sex 0 or 1, years and kg ``(N, 3)``."""


def _persons(seed: int, count: int) -> _Truth:
    people = [draw_person(seed, index) for index in range(count)]
    return np.array([_figures(one) for one in people]), np.array(
        [_attributes(one) for one in people]
    )


def _figures(person: Person) -> list[float]:
    shape, bone = femur_shape(person), bone_quality(person)
    contour = body_contour(person, shape)
    return [
        *astuple(shape),
        *np.log(astuple(bone)),
        mean_muscle_hu(person),
        np.log(septum_width(person)),
        trochanteric_tissue_mm(person),
        contour.half_depth_mm,
    ]


def _attributes(person: Person) -> list[float]:
    return [float(person.sex is Sex.M), person.age_years, person.weight_kg]


def _columns(part: Sequence[str]) -> list[int]:
    return [FIGURES.index(name) for name in part]


def _network(learned: _Truth, unseen: _Truth, part: Sequence[str]) -> np.ndarray:
    """Return a logit, years and kg ``(U, 3)`` read by networks of their own."""
    settings = {
        "hidden_layer_sizes": (64, 64),
        "alpha": 1e-3,
        "learning_rate_init": 3e-3,
        "early_stopping": True,
        "random_state": 0,
    }
    (figures, true), columns = learned, _columns(part)
    asked = unseen[0][:, columns]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        sex = make_pipeline(StandardScaler(), MLPClassifier(**settings))
        sex.fit(figures[:, columns], true[:, 0])
        read = [sex.predict_proba(asked)[:, 1] - 0.5]
        for column in (1, 2):
            centre, scale = true[:, column].mean(), true[:, column].std()
            one = make_pipeline(StandardScaler(), MLPRegressor(**settings))
            one.fit(figures[:, columns], (true[:, column] - centre) / scale)
            read.append(centre + scale * one.predict(asked))
    return np.stack(read, axis=1)


def _some(learned: _Truth, count: int, draw: int) -> _Truth:
    """Return a draw's persons: women and men come in pairs."""
    first = draw * (count + count % 2)
    rows = [(first + row) % len(learned[0]) for row in range(count)]
    return learned[0][rows], learned[1][rows]


def _gaussian(few: _Truth, unseen: _Truth, part: Sequence[str]) -> np.ndarray:
    columns = _columns(part)
    values = {name: few[1][:, column] for column, name in enumerate(ATTRIBUTES)}
    reader = fit_joint(few[0][:, columns], values, tuple(ATTRIBUTES), NOISE_SUBJECTS / len(few[0]))
    with torch.no_grad():
        return reader(torch.from_numpy(unseen[0][:, columns]).float()).double().numpy()


def _known_spread(few: _Truth, learned: _Truth, unseen: _Truth) -> np.ndarray:
    """Return logits of sex by the means of few persons and the spread within a sex of all."""
    columns = _columns(SEXED_BY)
    women, men = (learned[0][learned[1][:, 0] == sex][:, columns] for sex in (0.0, 1.0))
    within = (np.cov(women.T) + np.cov(men.T)) / 2.0
    means = [few[0][few[1][:, 0] == sex][:, columns].mean(axis=0) for sex in (0.0, 1.0)]
    weights = np.linalg.solve(within, means[1] - means[0])
    return (unseen[0][:, columns] - (means[0] + means[1]) / 2.0) @ weights


def _scores(read: np.ndarray, unseen: _Truth) -> list[np.ndarray]:
    true = unseen[1]
    right = ((read[:, 0] > 0) == (true[:, 0] > 0.5)).astype(float)
    return [right, *np.abs(read[:, 1:] - true[:, 1:]).T]


def _row(read: np.ndarray, unseen: _Truth) -> str:
    cells = []
    for digits, score in zip((3, 2, 2), _scores(read, unseen), strict=True):
        error = 1.96 * score.std() / np.sqrt(len(score))
        cells.append(f"{score.mean():.{digits}f} ± {error:.{digits}f}")
    return " | ".join(cells)


def _over_draws(rows: Sequence[np.ndarray], unseen: _Truth) -> str:
    means = np.array([[score.mean() for score in _scores(one, unseen)] for one in rows])
    return " | ".join(
        f"{mean:.{digits}f} ({deviation:.{digits}f})"
        for digits, mean, deviation in zip(
            (3, 2, 2), means.mean(axis=0), means.std(axis=0), strict=True
        )
    )


def _sexes(rows: Sequence[np.ndarray], unseen: _Truth) -> str:
    right = [((one > 0) == (unseen[1][:, 0] > 0.5)).mean() for one in rows]
    return f"{np.mean(right):.3f} ({np.std(right):.3f})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--learned", type=int, default=20000)
    parser.add_argument("--unseen", type=int, default=2000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
