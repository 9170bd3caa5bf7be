"""Judges: networks trained on many other simulated subjects, which no edit ever meets in its loop.

python benchmarks/judges.py FOLDER [--pool 1200]      trains both and keeps them in the folder
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from predictors import POOL_SEED, cohort_views, on_view
from torch import nn

from qctkit.networks import Schedule, one_thread
from qctkit.predictors.network import NetworkFamily, network_families
from qctkit.view import View

MOST_VIEWS = 14400
"""Views that a judge learns from in all: subjects times epochs."""

JUDGES = ("whole hip", "bone only")


def judge_families(pool: int) -> dict[str, NetworkFamily]:
    """Return the judge of the whole hip, and one that sees nothing but bone."""
    hip = {one.name: one for one in network_families()}["hip-network"]
    epochs = min(max(MOST_VIEWS // pool, 12), 20)
    hip = replace(hip, schedule=Schedule(epochs=epochs, batch=8))
    return {"whole hip": hip, "bone only": replace(hip, bone_only=True, view=View())}


def trained_judge(folder: Path, name: str, pool: int) -> nn.Module:
    """Return a judge, trained on the pool's first subjects unless the folder holds it."""
    family = judge_families(pool)[name]
    path = folder / f"judge-{name.replace(' ', '-')}-{pool}.pt"
    if not path.is_file():
        data = on_view(cohort_views(folder, POOL_SEED, pool), family.view)
        with one_thread():
            module = family.fit(data, family.attributes, POOL_SEED)
        partial = path.with_suffix(".partial")
        torch.save(module.state_dict(), partial)
        partial.replace(path)
        print(f"trained the judge of {name} on {pool} subjects", flush=True)
    module = family.build(family.attributes, family.view)
    module.load_state_dict(torch.load(path, weights_only=True))
    return module.eval()


def main() -> None:
    """Train both judges."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pool", type=int, default=1200)
    options = parser.parse_args()
    for name in JUDGES:
        trained_judge(options.folder, name, options.pool)


if __name__ == "__main__":
    main()
