"""Can samples be told from real scans? The bar of real-or-fake, on the simulator.

Samples of the real pipeline (the candidates of ``transfer.py``, shared with it where folder,
repeats and sources are the same) against scans of *other* simulated people, matched to the samples'
labels: the same sex, the nearest age and weight of many. Beside them, in the same run: the sources'
own scans (real against real), a random affine map with noise, the source study's algorithm, and a
positive control, the sources' scans with a faint texture added inside the femur. A classifier that
does not see the control says nothing of the samples. Of each row also the features that the linear
model leans on most, which is what to mend.

    python benchmarks/realism.py FOLDER --repeats 1 --sources 24     a look, under an hour
    python benchmarks/realism.py FOLDER --repeats 3 --sources 115    the bar: 200 a side and more

What was made and measured is kept in the folder: a run that was stopped goes on. ``--baseline``
gives the source study's algorithm fewer sources: it stands beside the bar, not under it.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar

import numpy as np
from scipy import ndimage
from transfer import FIRST_REPEAT, parts_of
from transfer_candidates import Job, make_candidates
from transfer_subjects import Repeat, code_of

from qctkit.analysis.classifier import weights_of_features
from qctkit.analysis.estimate import Estimate
from qctkit.analysis.noise import Noise
from qctkit.analysis.realism import Appearance, compare_looks
from qctkit.analysis.texture import TEXTURE_NAMES
from qctkit.cohort import Sample
from qctkit.pipeline.analyse import augmented
from qctkit.pipeline.measure import Seen, appearance, measure_sample
from qctkit.predictors.features import FEATURES
from qctkit.processes import in_processes
from qctkit.simulate import Person, draw_person, simulate_person
from qctkit.store.reader import CohortFile
from qctkit.subject import Subject
from qctkit.window import DEFAULT_WINDOW

BASELINE = "voxel-baseline"
BARRED = ("femur-morph", "femur-density")
RECIPES = (*BARRED, BASELINE)
MOST_AUC, LEAST_CONTROL_AUC, LEAST_A_SIDE = 0.65, 0.9, 200
A_SIDE = 210
"""Scans a side that are compared, where there are so many: a few more than the bar asks for."""

OTHER_SEED, POOL = 7000, 3000
AGE_SCALE_YEARS, WEIGHT_SCALE_KG = 10.0, 8.0
"""Other people are sought among so many; so much age counts as much as so much weight."""

TEXTURE_HU, TEXTURE_VOXELS = 25.0, 0.8
"""The control's texture: as strong as a low-dose scan's noise, of a grain of about two voxels."""

SOURCES, AFFINE, CONTROL = "real against real", "affine and noise", "control: texture in the femur"
SHOWN_FEATURES = 5
MEASURE_CODE = (
    *(f"analysis/{name}.py" for name in ("affine", "bone_band", "measures", "noise", "texture")),
    *("density.py", "frame.py", "noise_windows.py", "view.py", "predictors", "simulate"),
    *("pipeline/analyse.py", "pipeline/measure.py"),
)
Item = TypeVar("Item")


@dataclass(frozen=True)
class Scan:
    """One scan to measure: of another person, a source, or a made sample.

    Attributes:
        cache: folder of what was measured.
        kind: of which row; ``other`` for the real side.
        key: unique name of the scan.
        group: who was scanned.
        repeat, recipe: of a source or sample; None for other people.
        sample_id: of a source or sample, or the number of another person.
    """

    cache: Path
    kind: str
    key: str
    group: str
    sample_id: str
    repeat: Repeat | None = None
    file: Path | None = None

    @property
    def path(self) -> Path:
        """Where it is kept."""
        return self.cache / f"{self.key}.npz"


@dataclass(frozen=True)
class Sides:
    """What one row of the table compares: others' scans, and the row's own."""

    row: str
    others: Sequence[Scan]
    scans: Sequence[Scan]


@dataclass(frozen=True)
class Plan:
    """What is compared.

    Attributes:
        folder: where everything is kept.
        repeats: whose sources are edited.
        sources: of each repeat that a recipe edits, by recipe.
        a_side: scans of each row, at most.
        workers: processes.
    """

    folder: Path
    repeats: tuple[Repeat, ...]
    sources: Mapping[str, int]
    a_side: int
    workers: int

    @property
    def cache(self) -> Path:
        """Where it is kept what was measured: other code measures anew."""
        return self.folder / f"realism-{code_of(*MEASURE_CODE)}"

    def jobs(self, recipe: str, repeat: Repeat) -> list[Job]:
        """Return the work on a recipe and repeat, in parts as in ``transfer.py``."""
        parts = parts_of(repeat, recipe, workers=self.workers)
        return [job for job in parts if job.first < self.sources[recipe]]


def main() -> None:
    """Make, measure and compare; print the table and the bar."""
    plan, json_path = _asked()
    for one in plan.repeats:
        one.source_cohort()
        if plan.sources:
            one.predictors()
    jobs = [job for name in plan.sources for one in plan.repeats for job in plan.jobs(name, one)]
    for job, _ in in_processes(make_candidates, jobs, plan.workers):
        print(
            f"{job.recipe}: repeat {job.repeat.number}, {job.first} to {job.last - 1}", flush=True
        )
    rows = rows_of(plan)
    figures = compare_rows(rows, plan)
    if json_path is not None:
        record = {row: {k: asdict(v) for k, v in one.items()} for row, one in figures.items()}
        json_path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print_bar(figures, rows)


def rows_of(plan: Plan) -> dict[str, list[tuple[Scan, Subject]]]:
    """Return the scans of each row, with their labels: as many of each repeat, the first ones."""
    rows: dict[str, list[tuple[Scan, Subject]]] = {}
    for kind in (SOURCES, AFFINE, CONTROL):
        rows[kind] = evenly(
            [
                [
                    (_scan(plan.cache, kind, repeat, one.person_id, one.person_id), one.subject)
                    for one in repeat.people
                ]
                for repeat in plan.repeats
            ],
            plan.a_side,
        )
    for recipe in plan.sources:
        rows[recipe] = evenly(
            [list(_accepted(plan, recipe, repeat)) for repeat in plan.repeats], plan.a_side
        )
    return rows


def evenly(parts: Sequence[Sequence[Item]], most: int) -> list[Item]:
    """Return the first items of each part in turn, so many together or all there are."""
    turns = zip_longest(*parts, fillvalue=None)
    return [one for turn in turns for one in turn if one is not None][:most]


def compare_rows(
    rows: dict[str, list[tuple[Scan, Subject]]], plan: Plan
) -> dict[str, dict[str, Estimate]]:
    """Measure what is missing, and print and return the figures of each row."""
    pool = [draw_person(OTHER_SEED, index) for index in range(POOL)]
    others = {
        row: matched(plan.cache, [label for _, label in scans], pool) for row, scans in rows.items()
    }
    needed = {one.path: one for scans in rows.values() for one, _ in scans}
    needed |= {one.path: one for scans in others.values() for one in scans}
    missing = [one for one in needed.values() if not one.path.is_file()]
    for done, (scan, _) in enumerate(in_processes(measure, missing, plan.workers)):
        if done % 20 == 0:
            print(f"measured {done + 1} of {len(missing)}: {scan.key}", flush=True)
    sides = [Sides(row, others[row], [one for one, _ in scans]) for row, scans in rows.items()]
    found = {}
    for one, (figures, leaned) in in_processes(compare, sides, plan.workers):
        found[one.row] = figures
        print(f"\n{one.row}: the linear model leans on {'; '.join(leaned)}", flush=True)
    found = {row: found[row] for row in rows}
    names = list(found[SOURCES])
    print(f"\n| scans | a side | {' | '.join(names)} |\n|---|---|{'---|' * len(names)}")
    for row, figures in found.items():
        cells = [figures[name].words(".2f") if name in figures else "-" for name in names]
        print(f"| {row} | {len(rows[row])} | {' | '.join(cells)} |")
    return found


def compare(sides: Sides) -> tuple[dict[str, Estimate], list[str]]:
    """Return the figures of a row, and the features that its linear model leans on most."""
    real, made = (appearance([load(one) for one in scans]) for scans in (sides.others, sides.scans))
    figures = {name: one for name, one in compare_looks(real, made).items() if one}
    return figures, leaned(real, made)


def leaned(real: Appearance, made: Appearance) -> list[str]:
    """Return in words the features that tell made from real, by the linear model.

    Of each its weight, logits for a standard deviation of the feature, and by how many standard
    deviations of the real scans the made ones lie off.
    """
    features = np.concatenate([real.features, made.features])
    is_made = np.arange(len(features)) >= len(real)
    weights = weights_of_features(features, is_made, np.concatenate([real.groups, made.groups]))
    spread = np.maximum(real.features.std(axis=0), 1e-9)
    off = (made.features.mean(axis=0) - real.features.mean(axis=0)) / spread
    names = (*FEATURES, *TEXTURE_NAMES)
    return [
        f"{names[k]} {weights[k]:+.2g} (made {off[k]:+.2f} spreads off)"
        for k in np.argsort(-np.abs(weights))[:SHOWN_FEATURES]
    ]


def print_bar(
    figures: dict[str, dict[str, Estimate]], rows: dict[str, list[tuple[Scan, Subject]]]
) -> None:
    """Print what of the bar is met."""
    print("\n### the bar\n")
    control = figures[CONTROL]["classifier_auc"]
    seen = "met" if control.value >= LEAST_CONTROL_AUC else "NOT met"
    print(f"- control seen: AUC {control.words('.2f')} (at least {LEAST_CONTROL_AUC}), {seen}")
    for recipe in (one for one in BARRED if one in figures):
        found, count = figures[recipe]["classifier_auc"], len(rows[recipe])
        met = "met" if found.value <= MOST_AUC else "NOT met"
        few = "" if count >= LEAST_A_SIDE else f"; {count} a side are fewer than {LEAST_A_SIDE}"
        print(f"- {recipe}: AUC {found.words('.2f')} (at most {MOST_AUC}), {met}{few}")


def matched(cache: Path, labels: Sequence[Subject], pool: Sequence[Person]) -> list[Scan]:
    """Return another person for each subject: of the same sex, nearest in age and weight."""
    free = dict(enumerate(pool))
    chosen = []
    for label in labels:
        index = min(free, key=lambda one: _apart(label, free[one].subject))
        del free[index]
        name = f"other-{index:04d}"
        chosen.append(Scan(cache, "other", name, name, str(index)))
    return chosen


def measure(scan: Scan) -> None:
    """Render or load a scan, and keep what is measured of it."""
    scan.cache.mkdir(parents=True, exist_ok=True)
    seen = measure_sample(_sample(scan), DEFAULT_WINDOW, look=True)
    assert seen.noise is not None
    partial = scan.path.with_suffix(".partial.npz")
    np.savez(
        partial,
        physical=seen.physical,
        texture=seen.texture,
        block=seen.block,
        power=seen.noise.power,
        autocorrelation=seen.noise.autocorrelation,
        between=seen.noise.between_slices,
    )
    partial.replace(scan.path)


def load(scan: Scan) -> Seen:
    """Return what was measured."""
    with np.load(scan.path) as kept:
        noise = Noise(kept["power"], kept["autocorrelation"], float(kept["between"]))
        return Seen(
            scan.key, scan.key, scan.group, {}, {}, np.zeros(0),
            kept["physical"], kept["texture"], noise, kept["block"],
        )  # fmt: skip


def _accepted(plan: Plan, recipe: str, repeat: Repeat) -> Iterator[tuple[Scan, Subject]]:
    for job in plan.jobs(recipe, repeat):
        path = job.outcomes.with_suffix(".h5")
        made = CohortFile(path)
        for sample_id in made.sample_ids:
            source = str(made.row(sample_id)["source_sample_id"])
            scan = _scan(plan.cache, recipe, repeat, source, sample_id)
            yield replace(scan, file=path), made.subject(sample_id)


def _scan(cache: Path, kind: str, repeat: Repeat, source: str, sample_id: str) -> Scan:
    code = f"-{repeat.made(kind).name}" if kind in RECIPES else f"-{kind.replace(' ', '-')}"
    name = f"{repeat.number}-{repeat.training}-{sample_id}{code.replace(':', '')}"
    return Scan(cache, kind, name, f"{repeat.number}-{source}", sample_id, repeat)


def _sample(scan: Scan) -> Sample:
    if scan.repeat is None:
        return simulate_person(draw_person(OTHER_SEED, int(scan.sample_id)))
    if scan.file is not None:
        return CohortFile(scan.file).load(scan.sample_id)
    sample = scan.repeat.source_cohort().load(scan.sample_id)
    number = scan.repeat.source_cohort().sample_ids.index(scan.sample_id)
    random = np.random.default_rng([scan.repeat.number, number])
    changed: dict[str, Callable[[], Sample]] = {
        SOURCES: lambda: sample,
        AFFINE: lambda: augmented(sample, random),
        CONTROL: lambda: textured(sample, random),
    }
    return changed[scan.kind]()


def textured(sample: Sample, random: np.random.Generator) -> Sample:
    """Return a scan with a texture added inside its femur, the positive control."""
    grain = ndimage.gaussian_filter(
        random.standard_normal(sample.volume.voxels.shape), TEXTURE_VOXELS
    )
    added = TEXTURE_HU * grain / grain.std() * sample.femur.voxels
    voxels = np.rint(sample.volume.voxels + added).astype(np.int16)
    return replace(sample, volume=sample.volume.with_voxels(voxels))


def _apart(one: Subject, other: Subject) -> float:
    if one.sex is not other.sex:
        return float("inf")
    years = float(one.age_years or 0.0) - float(other.age_years or 0.0)
    kilograms = float(one.weight_kg or 0.0) - float(other.weight_kg or 0.0)
    return (years / AGE_SCALE_YEARS) ** 2 + (kilograms / WEIGHT_SCALE_KG) ** 2


def _asked() -> tuple[Plan, Path | None]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--recipes", nargs="*", default=list(RECIPES), choices=RECIPES)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--first", type=int, default=FIRST_REPEAT, help="number of the first")
    parser.add_argument("--sources", type=int, default=24, help="a repeat")
    parser.add_argument("--baseline", type=int, help="sources a repeat of voxel-baseline")
    parser.add_argument("--a-side", type=int, default=A_SIDE, help="scans compared, at most")
    parser.add_argument("--subjects", type=int, default=29, help="to train on")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    repeats = tuple(
        Repeat(given.folder, number, given.subjects, given.sources)
        for number in range(given.first, given.first + given.repeats)
    )
    sources = dict.fromkeys(given.recipes, given.sources)
    if BASELINE in sources and given.baseline is not None:
        sources[BASELINE] = min(given.baseline, given.sources)
    return Plan(given.folder, repeats, sources, given.a_side, given.workers), given.json


if __name__ == "__main__":
    main()
