"""Real or fake, as figures: each beside real against real, and beside usual augmentation."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qctkit.analysis.classifier import (
    TwoSample,
    feature_classifier,
    network_classifier,
    stronger,
)
from qctkit.analysis.distances import Standard, cover, frechet, kernel_distance
from qctkit.analysis.estimate import Estimate, jackknife, percentiles, recorded, subject_draws
from qctkit.analysis.kinds import AFFINE, BESIDE, MADE, REAL, RESERVED
from qctkit.analysis.nearest import Nearest, nearest
from qctkit.analysis.noise import FREQUENCIES, LAGS, power_ratio
from qctkit.cohort import Record
from qctkit.geometry import FloatArray

SPLITS = 100
"""Random halvings of subjects behind each distance."""

FEWEST_A_HALF = 4

FIGURES: Mapping[str, tuple[str, float | None]] = {
    "classifier_auc": ("stronger classifier, area under its ROC curve", 0.5),
    "classifier_features_auc": ("linear model of features, area under its ROC curve", 0.5),
    "classifier_network_auc": ("3D network, area under its ROC curve", 0.5),
    "frechet": ("squared Frechet distance", None),
    "kernel": ("kernel distance (squared MMD, unbiased)", 0.0),
    "precision": ("precision: made samples that lie among real ones", 1.0),
    "recall": ("recall: real scans that lie among made ones", 1.0),
    "density": ("density: made samples a real neighbourhood, over k", 1.0),
    "coverage": ("coverage: real scans with a made one near", 1.0),
    "diversity": ("spread of made samples over that of real ones", 1.0),
    **{
        f"noise_power_{number + 1}": (f"noise power at {one:g} cycles a voxel, over real", 1.0)
        for number, one in enumerate(FREQUENCIES)
    },
    "noise_autocorrelation": ("noise correlation with the next voxel, less real", 0.0),
    "noise_between_slices": ("noise correlation with the next slice, less real", 0.0),
    "distance_to_source": ("distance to the source over that of neighbouring people", None),
    "distance_to_nearest": ("distance to the nearest other person, over real to real", 1.0),
}
"""Title of each figure, and its value where made and real are alike."""

FEATURE_SPACE_NOTE = (
    "Distances are in the space of physical features (sizes, cortex, densities, muscle and soft "
    "tissue), each in standard deviations of the real cohort. Frechet, kernel and cover figures "
    "compare real scans of half of the subjects with samples made from the other half, equally "
    "many, and are means over random halvings with their range; real against real is the same "
    "with the other half's own scans."
)


@dataclass(frozen=True, eq=False)
class Appearance:
    """What samples look like, for telling them apart.

    Attributes:
        sample_ids, source_ids: of each; a real scan is its own source.
        groups: ``(N,)`` who was scanned; for a made sample the subject of its source.
        physical: ``(N, F)`` physical features, the space of distances.
        texture: ``(N, T)`` texture features, which the linear classifier sees beside them.
        blocks: ``(N, d, h, w)`` HU of voxels about the middle of the femur, for the network.
        power: ``(N, R)`` noise power by spatial frequency.
        autocorrelation: ``(N, L)``, and ``between_slices`` ``(N,)``, of the noise.
    """

    sample_ids: tuple[str, ...]
    source_ids: tuple[str, ...]
    groups: NDArray[np.str_]
    physical: FloatArray
    texture: FloatArray
    blocks: NDArray[np.int16]
    power: FloatArray
    autocorrelation: FloatArray
    between_slices: FloatArray

    def __len__(self) -> int:
        return len(self.sample_ids)

    @property
    def features(self) -> FloatArray:
        """All features ``(N, F + T)``."""
        return np.concatenate([self.physical, self.texture], axis=1)


@dataclass(frozen=True, eq=False)
class Realism:
    """All that is said of how real made samples look.

    Attributes:
        figures: by name of ``FIGURES``, then ``made``, ``real_against_real``,
            ``affine_and_noise`` and the names of what else stands beside; None where too few
            subjects or scans could tell.
        classifiers: of made against real, the linear one first.
        near: how near made samples lie to their sources and to others.
        real, made, affine: what was compared.
        beside: what else stands beside, by name.
    """

    figures: Mapping[str, Mapping[str, Estimate | None]]
    classifiers: tuple[TwoSample, ...]
    near: Nearest
    real: Appearance
    made: Appearance
    affine: Appearance
    beside: Mapping[str, Appearance]

    def record(self) -> Record:
        """Return it as JSON values; see ``qctkit.pipeline.analyse.Analysis.record``."""
        return {
            "figures": [
                {"name": name, "title": title, "alike": alike}
                | {kind: recorded(self.figures[name][kind]) for kind in RESERVED}
                | {BESIDE: {kind: recorded(self.figures[name][kind]) for kind in self.beside}}
                for name, (title, alike) in FIGURES.items()
            ],
            "stronger_classifier": None if not self.classifiers else self._stronger.name,
            "noise": {
                "frequencies_cycles_per_voxel": list(FREQUENCIES),
                "lags_voxels": list(LAGS),
                "real": _noise_record(self.real),
                MADE: _noise_record(self.made),
                AFFINE: _noise_record(self.affine),
                BESIDE: {name: _noise_record(one) for name, one in self.beside.items()},
            },
            "notes": [FEATURE_SPACE_NOTE, *self._fewer()],
            "samples": list(self._sample_records()),
        }

    @property
    def words(self) -> tuple[str, ...]:
        """Say it in sentences."""
        return (
            self._classifier_words(),
            *(self._figure_words(name) for name in ("frechet", "kernel", "coverage", "diversity")),
            *(self._figure_words(f"noise_power_{one + 1}") for one in range(len(FREQUENCIES))),
            self._figure_words("distance_to_source"),
            self._figure_words("distance_to_nearest"),
        )

    def _fewer(self) -> Iterator[str]:
        """Say of what else stands beside it how many it has, where those are not as many."""
        counts = {name: len(one) for name, one in self.beside.items()}
        others = [
            f", and of {count} by {name}"
            for name, count in counts.items()
            if count != len(self.made)
        ]
        if others:
            yield (
                f"Figures are of {len(self.made)} generated samples{''.join(others)}. Fewer "
                "samples make AUCs scatter more, and Frechet distances larger."
            )

    @property
    def _stronger(self) -> TwoSample:
        return max(self.classifiers, key=lambda one: one.auc.value)

    def _classifier_words(self) -> str:
        found = self.figures["classifier_auc"][MADE]
        if found is None:
            return (
                f"no classifier was trained: {len(np.unique(self.real.groups))} real and "
                f"{len(np.unique(self.made.groups))} source subjects are too few"
            )
        if not found.excludes(0.5):
            verdict = "cannot be shown to differ from real scans"
        elif found.value > 0.5:
            verdict = "can be told from real scans"
        else:
            verdict = "are told worse than by chance, which few subjects can bring about"
        return (
            f"made samples {verdict}: the stronger classifier ({self._stronger.name}) reaches an "
            f"AUC of {self._beside('classifier_auc')}"
        )

    def _figure_words(self, name: str) -> str:
        return f"{FIGURES[name][0]}: {self._beside(name)}"

    def _beside(self, name: str) -> str:
        parts = [
            f"{words} {found.words('.2f')}"
            for kind, words in {**RESERVED, **{one: one for one in self.beside}}.items()
            if (found := self.figures[name][kind]) is not None
        ]
        return ", ".join(parts) or "too few subjects"

    def _sample_records(self) -> Iterator[Record]:
        scores = self._stronger.scores[len(self.real) :] if self.classifiers else None
        for row, sample_id in enumerate(self.made.sample_ids):
            yield {
                "sample_id": sample_id,
                "source_sample_id": self.made.source_ids[row],
                "distance_to_source": _plain(self.near.to_source[row]),
                "distance_to_source_over_neighbours": _plain(self.near.source_share[row]),
                "nearest_other_sample_id": self.real.sample_ids[int(self.near.other[row])],
                "distance_to_nearest_other": _plain(self.near.to_other[row]),
                "made_score": None if scores is None else _plain(scores[row]),
            }


def analyse_realism(
    real: Appearance,
    made: Appearance,
    affine: Appearance,
    *,
    beside: Mapping[str, Appearance] | None = None,
    seed: int = 0,
    advance: Callable[[str], None] = lambda _: None,
) -> Realism:
    """Return how real made samples look, beside real against real and usual augmentation.

    ``affine`` holds random affine maps with noise of the same sources as ``made``. ``beside`` is
    what else is compared with real scans, by name; it leaves the other figures as they are.
    ``advance`` is told after each comparison, three and those of ``beside``.
    """
    halved = _halved(real, seed)
    compared: dict[str, tuple[TwoSample, ...]] = {}
    for kind, other in ((MADE, made), (REAL, None), (AFFINE, affine)):
        compared[kind] = _classifiers(*(halved if other is None else (real, other)), seed)
        advance(kind)
    near = {kind: _near(real, other) for kind, other in ((MADE, made), (AFFINE, affine))}
    figures = {
        **_auc_figures(compared),
        **_distance_figures(real, {MADE: made, AFFINE: affine}, seed),
        **_noise_figures(real, {MADE: made, AFFINE: affine}, halved),
        **_near_figures(near, {MADE: made, AFFINE: affine}),
    }
    beside = beside or {}
    for name, other in beside.items():
        looks = compare_looks(real, other, seed=seed)
        for figure, found in figures.items():
            found[name] = looks[figure]
        advance(name)
    return Realism(figures, compared[MADE], near[MADE], real, made, affine, beside)


def compare_looks(
    real: Appearance, made: Appearance, *, seed: int = 0
) -> dict[str, Estimate | None]:
    """Return the figures of ``FIGURES`` for made samples against real scans, by name."""
    kinds = {MADE: made}
    figures = {
        **_auc_figures({MADE: _classifiers(real, made, seed)}),
        **_distance_figures(real, kinds, seed),
        **_noise_figures(real, kinds, _halved(real, seed)),
        **_near_figures({MADE: _near(real, made)}, kinds),
    }
    return {name: figures[name][MADE] for name in FIGURES}


def _classifiers(real: Appearance, other: Appearance, seed: int) -> tuple[TwoSample, ...]:
    is_made = np.arange(len(real) + len(other)) >= len(real)
    groups = np.concatenate([real.groups, other.groups])
    features = np.concatenate([real.features, other.features])
    found = [feature_classifier(features, is_made, groups, seed)]
    if found[0] is not None:
        blocks = np.concatenate([real.blocks, other.blocks])
        found.append(network_classifier(blocks, is_made, groups, seed))
    return tuple(one for one in found if one is not None)


def _auc_figures(
    compared: Mapping[str, tuple[TwoSample, ...]],
) -> dict[str, dict[str, Estimate | None]]:
    found: dict[str, dict[str, Estimate | None]] = {
        name: dict.fromkeys(compared)
        for name in ("classifier_auc", "classifier_features_auc", "classifier_network_auc")
    }
    for kind, classifiers in compared.items():
        best = stronger(classifiers)
        found["classifier_auc"][kind] = None if best is None else best.auc
        for one in classifiers:
            found[f"classifier_{one.name}_auc"][kind] = one.auc
    return found


def _distance_figures(
    real: Appearance, others: Mapping[str, Appearance], seed: int
) -> dict[str, dict[str, Estimate | None]]:
    """Return distances over random halvings, those of the other half's own scans among them."""
    standard = Standard.of(real.physical)
    kinds = {**others, REAL: real}
    names = np.unique(np.concatenate([one.groups for one in kinds.values()]))
    drawn: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    generator = np.random.default_rng(seed)
    for _ in range(SPLITS):
        first = generator.permutation(names)[: len(names) // 2]
        here = standard(real.physical[np.isin(real.groups, first)])
        there = {kind: np.flatnonzero(~np.isin(one.groups, first)) for kind, one in kinds.items()}
        count = min(len(here), *map(len, there.values()))
        if count < FEWEST_A_HALF:
            continue
        here = here[generator.choice(len(here), count, replace=False)]
        for kind, rows in there.items():
            chosen = generator.choice(rows, count, replace=False)
            drawn[kind].append(_distances(here, standard(kinds[kind].physical[chosen])))
    return {
        name: {kind: _over_splits(drawn[kind], name, len(names) // 2) for kind in kinds}
        for name in ("frechet", "kernel", "precision", "recall", "density", "coverage", "diversity")
    }


def _distances(real: FloatArray, made: FloatArray) -> dict[str, float]:
    return {
        "frechet": frechet(real, made),
        "kernel": kernel_distance(real, made),
        **vars(cover(real, made)),
    }


def _over_splits(drawn: list[dict[str, float]], name: str, subjects: int) -> Estimate | None:
    if not drawn:
        return None
    values = np.array([one[name] for one in drawn])
    return Estimate(float(values.mean()), *percentiles(values), subjects)


def _noise_figures(
    real: Appearance, others: Mapping[str, Appearance], halved: tuple[Appearance, Appearance]
) -> dict[str, dict[str, Estimate | None]]:
    pairs = {REAL: (halved[1], halved[0]), **{kind: (one, real) for kind, one in others.items()}}
    found: dict[str, dict[str, Estimate | None]] = {
        name: dict.fromkeys(pairs) for name in FIGURES if name.startswith("noise_")
    }
    for kind, (one, base) in pairs.items():
        if not all(np.isfinite(part.power).any() for part in (one, base)):
            continue
        for ring, ratio in enumerate(power_ratio(one.power, base.power, one.groups, base.groups)):
            found[f"noise_power_{ring + 1}"][kind] = ratio
        next_voxel = _mean_difference(one, base, lambda part: part.autocorrelation[:, 0])
        found["noise_autocorrelation"][kind] = next_voxel
        found["noise_between_slices"][kind] = _mean_difference(
            one, base, lambda part: part.between_slices
        )
    return found


def _mean_difference(
    one: Appearance, base: Appearance, values_of: Callable[[Appearance], FloatArray]
) -> Estimate | None:
    values = np.concatenate([values_of(one), values_of(base)])
    is_one = np.arange(len(values)) < len(one)
    known = np.isfinite(values)
    if not (known & is_one).any() or not (known & ~is_one).any():
        return None
    values, is_one = values[known], is_one[known]

    def difference(kept: NDArray[np.bool_]) -> float:
        if not (kept & is_one).any() or not (kept & ~is_one).any():
            return float("nan")
        return float(values[kept & is_one].mean() - values[kept & ~is_one].mean())

    return jackknife(difference, np.concatenate([one.groups, base.groups])[known])


def _near(real: Appearance, made: Appearance) -> Nearest:
    standard = Standard.of(real.physical)
    row_of = {sample_id: row for row, sample_id in enumerate(real.sample_ids)}
    return nearest(
        standard(real.physical),
        standard(made.physical),
        real.groups,
        made.groups,
        [row_of.get(one) for one in made.source_ids],
    )


def _near_figures(
    near: Mapping[str, Nearest], others: Mapping[str, Appearance]
) -> dict[str, dict[str, Estimate | None]]:
    found: dict[str, dict[str, Estimate | None]] = {
        "distance_to_source": {REAL: None},
        "distance_to_nearest": {REAL: None},
    }
    for kind, one in near.items():
        usual = max(float(np.median(one.real_to_other)), 1e-9)
        groups = others[kind].groups
        found["distance_to_source"][kind] = _median(one.source_share, groups)
        found["distance_to_nearest"][kind] = _median(one.to_other / usual, groups)
    return found


def _median(values: FloatArray, groups: NDArray[np.str_]) -> Estimate | None:
    """Return the median with its bootstrap interval over subjects."""
    known = np.isfinite(values)
    if not known.any():
        return None
    values = values[known]
    names, place = np.unique(groups[known], return_inverse=True)
    order = np.argsort(values)
    weight = subject_draws(len(names), seed=0)[:, place[order]].cumsum(axis=1)
    middle = (weight >= weight[:, -1:] / 2).argmax(axis=1)
    return Estimate(float(np.median(values)), *percentiles(values[order][middle]), len(names))


def _halved(real: Appearance, seed: int) -> tuple[Appearance, Appearance]:
    names = np.random.default_rng(seed).permutation(np.unique(real.groups))
    first = np.isin(real.groups, names[: len(names) // 2])
    return take(real, np.flatnonzero(first)), take(real, np.flatnonzero(~first))


def take(one: Appearance, rows: NDArray[np.intp]) -> Appearance:
    """Return some of the samples."""
    return Appearance(
        tuple(one.sample_ids[row] for row in rows),
        tuple(one.source_ids[row] for row in rows),
        one.groups[rows],
        one.physical[rows],
        one.texture[rows],
        one.blocks[rows],
        one.power[rows],
        one.autocorrelation[rows],
        one.between_slices[rows],
    )


def _noise_record(one: Appearance) -> Record:
    """Return mean noise figures over scans that show enough even soft tissue."""
    known = np.isfinite(one.power[:, 0])
    between = one.between_slices[np.isfinite(one.between_slices)]
    return {
        "scans": int(known.sum()),
        "power_hu2": one.power[known].mean(axis=0).round(4).tolist() if known.any() else None,
        "autocorrelation": (
            one.autocorrelation[known].mean(axis=0).round(4).tolist() if known.any() else None
        ),
        "between_slices": _plain(between.mean()) if len(between) else None,
    }


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
