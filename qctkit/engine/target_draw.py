"""Targets drawn from the joint distribution of a real cohort's attributes."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from qctkit.engine.targets import Target
from qctkit.errors import InputError
from qctkit.subject import ATTRIBUTES, SEX, Sex, Subject

LARGEST_SHARE = 0.5
"""How far a later target may lie on the way from one real subject to another: up to the middle, so
that each stays nearest to the subject that it came from."""


@dataclass(frozen=True)
class Limit:
    """Which real subjects may lend their values: by a range of an attribute, or by the source's."""

    attribute: str
    low: float = -math.inf
    high: float = math.inf
    same_as_source: bool = False

    @property
    def words(self) -> str:
        """The limit as a user writes it."""
        if self.same_as_source:
            return f"{self.attribute}=same"
        if self.attribute == SEX.name:
            return f"sex={Sex.M if self.low > 0.5 else Sex.F}"
        ends = ("" if math.isinf(end) else f"{end:g}" for end in (self.low, self.high))
        return f"{self.attribute}={':'.join(ends)}"

    def allows(self, model: Subject, source: Subject) -> bool:
        """Whether a subject may lend its values to a source; one whose value is missing may not.

        A source that does not know its own value takes anyone's.
        """
        value = model.value(self.attribute)
        if self.same_as_source:
            return source.value(self.attribute) in (None, value)
        return value is not None and self.low <= value <= self.high


def draw_targets(
    sources: Mapping[str, Subject],
    driven: Sequence[str],
    seed: int,
    limits: Sequence[Limit] = (),
) -> Iterator[Target]:
    """Give targets without end, no two of them alike.

    All values of a target come from one real subject, the model: attributes are correlated, and
    drawing them one by one would ask for people who do not exist. Sources take turns in an order
    drawn from the seed, and each meets every model once. From then on a target lies part of the
    way from one model to another of the same sex, within the cohort as before. Target ``k`` is the
    same however many are drawn.

    Raises:
        InputError: fewer than two subjects have all driven attributes, or none obeys the limits.
    """
    able = {
        sample_id: subject
        for sample_id, subject in sources.items()
        if all(subject.value(name) is not None for name in driven)
    }
    if len({one.subject_id for one in able.values()}) < 2:
        raise InputError(
            f"targets for {', '.join(driven) or 'no attribute'} need at least two subjects with "
            "known values; complete the table of subjects"
        )
    turns = _turns(able, seed, limits)
    if not turns:
        raise InputError(
            "no other subject obeys the limits for targets "
            f"({', '.join(one.words for one in limits)}); widen them"
        )
    return _endless(able, turns, tuple(driven), seed)


def _turns(
    able: Mapping[str, Subject], seed: int, limits: Sequence[Limit]
) -> list[tuple[str, list[str]]]:
    """Return the sources in order, each with its models in order; one with none is left out.

    The other hip of a subject is no model, nor are two hips of another two models.
    """
    names = list(able)
    people = {able[name].subject_id: name for name in reversed(names)}
    turns = []
    for place in np.random.default_rng([seed, 0]).permutation(len(names)):
        source = able[names[place]]
        models = [
            name
            for name in names
            if people[able[name].subject_id] == name
            and able[name].subject_id != source.subject_id
            and all(limit.allows(able[name], source) for limit in limits)
        ]
        order = np.random.default_rng([seed, 1, place]).permutation(len(models))
        if models:
            turns.append((names[place], [models[k] for k in order]))
    return turns


def _endless(
    able: Mapping[str, Subject],
    turns: Sequence[tuple[str, list[str]]],
    driven: tuple[str, ...],
    seed: int,
) -> Iterator[Target]:
    for lap in count():
        given = False
        for turn, (source, models) in enumerate(turns):
            first = able[models[lap % len(models)]]
            values = {name: _known(first, name) for name in driven}
            if driven and lap >= len(models):
                generator = np.random.default_rng([seed, 3, lap, turn])
                partners = [able[one] for one in models if _between(first, able[one], driven)]
                if not partners:
                    continue
                second = partners[int(generator.integers(len(partners)))]
                share = float(generator.uniform(0.0, LARGEST_SHARE))
                values = {
                    name: value + share * (_known(second, name) - value)
                    for name, value in values.items()
                }
            given = True
            yield Target(source, values)
        if not given:
            return


def _between(one: Subject, other: Subject, driven: Sequence[str]) -> bool:
    """Whether there is anyone between two subjects: of their one sex, with values of their own."""
    values = [(name, _known(one, name), _known(other, name)) for name in driven]
    binary = {name for name in driven if ATTRIBUTES[name].kind == "binary"}
    return all(a == b for name, a, b in values if name in binary) and any(
        a != b for _, a, b in values
    )


def _known(subject: Subject, name: str) -> float:
    value = subject.value(name)
    if value is None:
        raise InputError(f"{name} of subject {subject.subject_id} is not known")
    return value
