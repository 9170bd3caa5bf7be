"""Which samples are shown slice by slice: the worst, the best, and others by chance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qctkit.report.facts import MadeScan

SHOWN = 24
SEED = 0


@dataclass(frozen=True)
class Chosen:
    """A sample to show, and why: "worst", "best" or "random"."""

    sample_id: str
    why: str


def choose(made: Sequence[MadeScan], count: int = SHOWN) -> list[Chosen]:
    """Return up to ``count`` samples, a third each: worst first, then best, then by chance.

    Worst and best are meant by how near validators came to refusing them.
    """
    order = [one.scan.sample_id for one in sorted(made, key=lambda one: -one.strain)]
    third = count // 3 if len(order) > count else -(-len(order) // 3)
    worst, best = order[:third], order[third:][-third:][::-1]
    rest = order[third : len(order) - len(best)]
    drawn = np.random.default_rng(SEED).permutation(len(rest))[: count - len(worst) - len(best)]
    random = [rest[k] for k in sorted(drawn)]
    groups = (("worst", worst), ("best", best), ("random", random))
    return [Chosen(one, why) for why, ids in groups for one in ids]
