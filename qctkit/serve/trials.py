"""Which scans a blinded reading shows, and in what order each reader sees them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qctkit.errors import InputError


@dataclass(frozen=True)
class Trial:
    """One scan to be read."""

    sample_id: str
    is_made: bool


def draw_trials(
    real: Mapping[str, str], made: Mapping[str, str], scans: int, seed: int
) -> tuple[Trial, ...]:
    """Return as many real as made scans, at most ``scans`` together, drawn by the seed.

    No person appears twice, as a scan and as the source of a sample or in two samples: a reader
    who knows an anatomy again would learn something that has nothing to do with how real it looks.

    Args:
        real: whose scan each is, by sample id.
        made: whose scan each was made from, by sample id.
        scans: at most so many.
        seed: of the draw.

    Raises:
        InputError: there are too few people for one scan of each kind.
    """
    generator = np.random.default_rng(seed)
    by_subject = {kind: _by_subject(scans_of) for kind, scans_of in (("r", real), ("m", made))}
    people = [str(one) for one in generator.permutation(sorted(by_subject["r"]))]
    able = [one for one in people if one in by_subject["m"]]
    half = min(scans // 2, len(able), len(people) // 2)
    if half < 1:
        raise InputError(
            "a blinded reading needs two scans or more, and two people or more of whom one has a "
            f"sample; there are {len(people)}, {len(able)} with samples, and --scans is {scans}"
        )
    sources = able[:half]
    others = [one for one in people if one not in set(sources)][:half]
    trials = [
        Trial(str(generator.choice(by_subject[kind][one])), kind == "m")
        for kind, chosen in (("m", sources), ("r", others))
        for one in chosen
    ]
    return tuple(trials[place] for place in generator.permutation(len(trials)))


def order_for(reader: str, trials: int, seed: int) -> list[int]:
    """Return the order in which a reader sees the trials: each reader another, always the same."""
    name = int.from_bytes(hashlib.sha256(reader.encode()).digest()[:8], "little")
    return [int(one) for one in np.random.default_rng([seed, name]).permutation(trials)]


def _by_subject(scans: Mapping[str, str]) -> dict[str, Sequence[str]]:
    found: dict[str, list[str]] = {}
    for sample_id, subject_id in scans.items():
        found.setdefault(subject_id, []).append(sample_id)
    return {subject: sorted(ids) for subject, ids in found.items()}
