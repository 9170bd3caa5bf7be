"""Do samples change what a real change of the attributes would change? The project's own table.

For each repeat: 29 simulated training subjects, predictors trained on them as usual, and other
subjects as sources, each asked once for the attributes of another. Samples come from the real
pipeline and are judged on their rendered voxels by networks that learned from many other subjects
and were never in a loop. Beside every figure stands that of the *oracle*, the same individual
simulated with the values asked for: judges regress to the mean, so no sample could read better.

    python benchmarks/transfer.py FOLDER --quick       1 repeat, 12 sources: a quarter of an hour
    python benchmarks/transfer.py FOLDER               3 repeats, 100 sources each, hours

The folder keeps subjects, predictors, judges and candidates: a run that was stopped goes on (other
code makes candidates anew, so leave the code alone while it runs), and
``benchmarks/predictors.py`` with the same folder shares its subjects. ``--recipes`` chooses rows.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from judges import JUDGES, judge_families, trained_judge
from predictors import on_view
from transfer_candidates import (
    REGRESSION,
    Job,
    make,
    shown_candidate,
    targets_of_recipe,
)
from transfer_figures import Rows, estimates, figures, pooled, share
from transfer_subjects import DENSITY_RECIPES, Repeat, Shown, shown_oracle, shown_source

from qctkit.contracts import TrainingData
from qctkit.networks import one_thread
from qctkit.processes import in_processes
from qctkit.subject import ATTRIBUTES
from qctkit.view import HIP_VIEW

RECIPES = ("femur-morph", "femur-density", REGRESSION, "voxel-baseline")
PART = 60
"""Sources a process edits at most before it looks for other work: it learns the cohort's atlas for
them, which takes as long as six candidates."""

AIR_HU, HARDLY_BONE = -200.0, 12
"""Soft tissue is above this HU, and holds less than so many 255ths of femur."""

QUICK_SOURCES, QUICK_POOL = 12, 200
"""Of a small look: people who are edited, and people that judges learn from."""

FIRST_REPEAT = 3
"""Settings were looked for on repeats 0 to 2, so that figures come from the next."""

LEAST_ACCEPTED = 0.8
BAR = {
    "femur-morph": {
        "sex reached, where asked to change": ("sample", 0.95, 1.0),
        "age error, years": ("ratio", 0.0, 1.15),
        "weight error, kg": ("ratio", 0.0, 1.15),
        "age gain": ("ratio", 0.85, 1.15),
        "weight gain": ("ratio", 0.85, 1.15),
        "noise power over the source's, coarse": ("sample", 0.9, 1.1),
        "noise power over the source's, middle": ("sample", 0.9, 1.1),
        "noise power over the source's, fine": ("sample", 0.9, 1.1),
    },
    "femur-density": {
        "age gain": ("ratio", 0.8, 1.2),
        "weight gain": ("ratio", 0.8, 1.2),
        "mask the source's": ("sample", 1.0, 1.0),
        "voxels outside the region the source's": ("sample", 1.0, 1.0),
    },
}
"""What accepted samples must reach: which of the three, at least, and at most."""

SUMMARY = {
    "sex reached, where asked to change": "sex reached",
    "age error, years": "age error, years",
    "weight error, kg": "weight error, kg",
    "age gain": "age gain",
    "weight gain": "weight gain",
    "distance to the oracle, femur": "femur",
    "distance to the oracle, soft tissue": "soft tissue",
    "trabecular change on the oracle's, slope": "trabecular",
    "cortical change on the oracle's, slope": "cortical",
}


@dataclass(frozen=True)
class Plan:
    """What is made, and who judges it."""

    folder: Path
    recipes: tuple[str, ...]
    repeats: tuple[Repeat, ...]
    pool: int
    workers: int
    json: Path | None

    def jobs(self, recipe: str) -> list[Job]:
        """Return the work on a recipe, in parts."""
        return [job for one in self.repeats for job in parts_of(one, recipe, workers=self.workers)]


@dataclass(frozen=True)
class _Judge:
    folder: Path
    name: str
    pool: int


def main() -> None:
    """Make what is missing and print the tables."""
    plan = _plan()
    items = [*(_Judge(plan.folder, name, plan.pool) for name in JUDGES), *plan.repeats]
    for _ in in_processes(_prepare, items, plan.workers):
        pass
    record, table = {}, {}
    for recipe in plan.recipes:
        for job, _ in in_processes(make, plan.jobs(recipe), plan.workers):
            print(
                f"{recipe}: repeat {job.repeat.number}, {job.first} to {job.last - 1}", flush=True
            )
        rows = pooled([rows_of(plan, recipe, one) for one in plan.repeats])
        table[recipe] = record[recipe] = print_recipe(plan, recipe, rows)
        if plan.json is not None:
            plan.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print_summary(table)
    print_bar(table)


def parts_of(repeat: Repeat, recipe: str, *, workers: int) -> list[Job]:
    """Return the work on a repeat's sources, in parts that keep all workers busy."""
    size = min(PART, -(-repeat.sources // workers))
    return [
        Job(repeat, recipe, first, min(first + size, repeat.sources))
        for first in range(0, repeat.sources, size)
    ]


def rows_of(plan: Plan, recipe: str, repeat: Repeat) -> Rows:
    """Return what is known of all candidates of a recipe and repeat."""
    outcomes = _outcomes(plan, recipe, repeat)
    kept = [
        (person, target.values, outcomes[person.person_id])
        for person, target in zip(repeat.people, targets_of_recipe(repeat, recipe), strict=True)
        if person.person_id in outcomes
    ]
    scans = [
        (
            shown_source(repeat, person),
            Shown.load(shown_candidate(repeat.made(recipe), person.person_id)),
            shown_oracle(repeat, person, values, density_only=recipe in DENSITY_RECIPES),
        )
        for person, values, _ in kept
    ]
    judge = "bone only" if recipe in DENSITY_RECIPES else "whole hip"
    samples = [sample.figures for _, sample, _ in scans]
    return Rows(
        own=np.array([_row(person.subject.value) for person, _, _ in kept]),
        wanted=np.array([_row(values.get) for _, values, _ in kept]),
        accepted=np.array([outcome["accepted"] for _, _, outcome in kept], dtype=bool),
        read=np.stack(
            [judged(plan, judge, [one[place] for one in scans]) for place in range(3)], axis=1
        ),
        in_loop=np.array([_row(outcome["in_loop"].get) for _, _, outcome in kept]),
        density_hu=np.array([[_densities(one) for one in three] for three in scans]),
        apart_hu=np.array([_apart(*three) for three in scans]),
        noise=np.array([_noise(one) for one in samples]),
        same=np.array([[one.get(name, np.nan) for name in _SAME] for one in samples], dtype=float),
    )


def judged(plan: Plan, name: str, scans: Sequence[Shown]) -> np.ndarray:
    """Return what a judge reads of scans, ``(N, 3)``."""
    images = np.stack([np.stack([one.hu, one.femur]) for one in scans]).astype(np.float16)
    data = TrainingData(torch.from_numpy(images), {}, HIP_VIEW)
    judge = trained_judge(plan.folder, name, plan.pool)
    with one_thread(), torch.no_grad():
        seen = on_view(data, judge_families(plan.pool)[name].view).images
        read = torch.cat([judge(part) for part in seen.split(25)])
    return read.double().numpy()


def print_recipe(plan: Plan, recipe: str, rows: Rows) -> dict[str, Any]:
    """Print all figures of a recipe, of accepted candidates and of all; return them."""
    judge = "bone only" if recipe in DENSITY_RECIPES else "whole hip"
    accepted = share(rows.accepted.astype(float))
    asked = ", ".join(name for name, one in zip(ATTRIBUTES, _asked(rows), strict=True) if one)
    print(f"\n### {recipe}\n\n{len(rows)} candidates, {accepted} accepted; asked for ")
    print(f"{asked or 'nothing'}; judge of the {judge}, trained on {plan.pool} subjects.\n")
    kinds = ("sample", "oracle", "ratio")
    heads = [f"{kind}, {who}" for who in ("accepted", "all") for kind in kinds]
    print(f"| figure | {' | '.join(heads)} |\n|---|{'---|' * len(heads)}")
    found: dict[str, Any] = {"candidates": len(rows), "accepted": asdict(accepted)}
    for figure in figures():
        cells = []
        for who, some in (("accepted", rows.take(rows.accepted)), ("all", rows)):
            here = estimates(some, figure)
            cells += [str(here.get(kind, "")) for kind in kinds]
            found.setdefault(figure.name, {})[who] = {k: asdict(one) for k, one in here.items()}
        if set(cells) - {"-", ""}:
            print(f"| {figure.name} | {' | '.join(cells)} |", flush=True)
    return found


def print_summary(table: dict[str, dict[str, Any]]) -> None:
    """Print one line a recipe: of accepted candidates, or of all where too few were accepted."""
    print("\n### all recipes\n")
    print("Sample (oracle). Of accepted candidates, of all where fewer than 80 % were accepted.\n")
    print(f"| recipe | accepted | counted | {' | '.join(SUMMARY.values())} |")
    print(f"|---|---|---|{'---|' * len(SUMMARY)}")
    for recipe, found in table.items():
        accepted = found["accepted"]["value"]
        who = "accepted" if accepted >= LEAST_ACCEPTED else "all"
        cells = [_short(found[name][who]) for name in SUMMARY]
        print(f"| {recipe} | {accepted:.2f} | {who} | {' | '.join(cells)} |")


def print_bar(table: dict[str, dict[str, Any]]) -> None:
    """Print what of the bar is met; the intervals stand in the tables."""
    print("\n### the bar\n")
    for recipe, bar in BAR.items():
        if recipe not in table:
            continue
        _verdict(f"{recipe}: accepted", table[recipe]["accepted"]["value"], LEAST_ACCEPTED, 1.0)
        for name, (kind, low, high) in bar.items():
            value = table[recipe][name]["accepted"][kind]["value"]
            _verdict(f"{recipe}: {name}, {kind}", value, low, high)


def _verdict(words: str, value: float, low: float, high: float) -> None:
    if np.isnan(value):
        print(f"- {words}: not known, too few accepted or not asked")
        return
    met = "met" if low <= value <= high else "NOT met"
    print(f"- {words}: {value:.2f} ({low:.2f} to {high:.2f}), {met}")


def _short(found: dict[str, dict[str, float]]) -> str:
    sample, oracle = found["sample"]["value"], found.get("oracle")
    if np.isnan(sample):
        return "-"
    return f"{sample:.2f}" if oracle is None else f"{sample:.2f} ({oracle['value']:.2f})"


def _prepare(item: _Judge | Repeat) -> None:
    """Train a judge, or simulate a repeat's subjects and train its predictors."""
    if isinstance(item, _Judge):
        trained_judge(item.folder, item.name, item.pool)
    else:
        item.source_cohort()
        item.predictors()


def _outcomes(plan: Plan, recipe: str, repeat: Repeat) -> dict[str, dict[str, Any]]:
    found = [
        outcome
        for job in plan.jobs(recipe)
        if job.repeat == repeat
        for outcome in json.loads(job.outcomes.read_text(encoding="utf-8"))
    ]
    return {one["source"]: one for one in found}


_SAME = ("same_mask", "same_outside")


def _row(value_of: Any) -> list[float]:
    found = [value_of(name) for name in ATTRIBUTES]
    return [float("nan") if value is None else float(value) for value in found]


def _densities(shown: Shown) -> list[float]:
    return [shown.figures["trabecular_hu"], shown.figures["cortical_hu"]]


def _noise(figures: Any) -> list[float]:
    noise = figures["noise"]
    return [noise.get(f"{band}_power_ratio", np.nan) for band in ("coarse", "middle", "fine")]


def _apart(source: Shown, sample: Shown, oracle: Shown) -> list[list[float]]:
    """Return the mean distance in HU of source and sample to the oracle, by tissue ``(2, 2)``.

    Each lies in its own femur's frame. Tissue is what source or oracle show there.
    """
    bone = np.maximum(source.femur, oracle.femur)
    soft = (np.maximum(source.hu, oracle.hu) > AIR_HU) & (bone < HARDLY_BONE)
    return [
        [
            float(np.abs(one.hu.astype(float) - oracle.hu)[where].mean())
            for where in (bone > 127, soft)
        ]
        for one in (source, sample)
    ]


def _asked(rows: Rows) -> np.ndarray:
    return np.asarray(~np.isnan(rows.wanted).all(axis=0))


def _plan() -> Plan:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=RECIPES)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--first", type=int, default=FIRST_REPEAT, help="number of the first")
    parser.add_argument("--sources", type=int, default=100)
    parser.add_argument("--subjects", type=int, default=29, help="to train on")
    parser.add_argument("--pool", type=int, default=1200, help="subjects that judges learn from")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.quick:
        given.repeats, given.sources, given.pool = 1, QUICK_SOURCES, QUICK_POOL
    repeats = tuple(
        Repeat(given.folder, number, given.subjects, given.sources)
        for number in range(given.first, given.first + given.repeats)
    )
    return Plan(given.folder, tuple(given.recipes), repeats, given.pool, given.workers, given.json)


if __name__ == "__main__":
    main()
