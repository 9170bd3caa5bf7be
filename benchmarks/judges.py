"""Judges: networks trained on many other simulated subjects, which no edit ever meets in its loop.

python benchmarks/judges.py FOLDER [--pool 1200]      trains both and keeps them in the folder
"""

import argparse
import functools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from predictors import POOL_SEED, cohort_views, on_view
from torch import nn

from qctkit.cohort import FemurMask
from qctkit.frame import locate
from qctkit.networks import Schedule, one_thread
from qctkit.predictors.network import NetworkFamily, network_families
from qctkit.predictors.training import as_tensor
from qctkit.view import View, see
from qctkit.volume import Volume

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


@functools.cache
def judges(folder: Path, pool: int) -> dict[str, nn.Module]:
    """Return both judges by name."""
    return {name: trained_judge(folder, name, pool) for name in JUDGES}


def judged(
    folder: Path, pool: int, scans: Sequence[tuple[Volume, FemurMask]]
) -> dict[str, np.ndarray]:
    """Return what each judge reads of scans, each in its own femur's frame, ``(N, 3)``."""
    found = {}
    for name, judge in judges(folder, pool).items():
        view = judge_families(pool)[name].view
        images = [
            as_tensor(see(volume, femur, locate(femur, volume.geometry), view))
            for volume, femur in scans
        ]
        with one_thread(), torch.no_grad():
            found[name] = judge(torch.stack(images)).double().numpy()
    return found


def main() -> None:
    """Train both judges."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pool", type=int, default=1200)
    options = parser.parse_args()
    judges(options.folder, options.pool)


if __name__ == "__main__":
    main()
