"""What is asked of each candidate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qctkit.errors import InputError
from qctkit.subject import Origin, Subject, known_attribute


@dataclass(frozen=True)
class Target:
    """One candidate to make: its source, and the values wanted of driven attributes.

    Attributes:
        source_sample_id: the real scan that is changed.
        values: by attribute, sex as 0 (F) or 1 (M); what is not named keeps the source's value.
        where: where the user asked for it, for messages; empty where it was drawn.
    """

    source_sample_id: str
    values: Mapping[str, float]
    where: str = ""

    def label(self, source: Subject, carried: Sequence[str]) -> Subject:
        """Return the true label: the target for carried attributes, else the source's value."""
        wanted = {name: self.values[name] for name in carried if name in self.values}
        return source.with_values(wanted, Origin.TARGET)


@dataclass(frozen=True)
class Asked:
    """What a user asks of one attribute: a value, or a change of the source's."""

    amount: float
    is_change: bool = False

    def value(self, name: str, source: Subject) -> float:
        """Return the value asked for.

        Raises:
            InputError: a change of what is not known, or one that leaves what people can have.
        """
        if not self.is_change:
            return self.amount
        own = source.value(name)
        if own is None:
            raise InputError(
                f"{name} of subject {source.subject_id} is not known, so it cannot be changed by "
                f"{self.amount:+g}; complete the table of subjects"
            )
        return possible(name, own + self.amount, f" of subject {source.subject_id}")


def possible(name: str, value: float, whose: str = "") -> float:
    """Return a value that a person can have of an attribute.

    Raises:
        InputError: it is outside; ``whose`` says in the message whose value it is.
    """
    attribute = known_attribute(name)
    if not attribute.allows(value):
        raise InputError(f"{name}{whose} would be {value:g}; ask for {attribute.allowed}")
    return value


def same_for_all(
    asked: Mapping[str, Asked], sources: Mapping[str, Subject], seed: int
) -> tuple[Target, ...]:
    """Return one target a source, the same for all, in an order drawn from the seed.

    A source that lacks one of the attributes, or has all the values already, is left out: there
    would be no known change to make. The same source and target again would give the same sample.

    Raises:
        InputError: no source is left, or a change leaves what people can have.
    """
    targets = []
    for sample_id, source in sources.items():
        own = {name: source.value(name) for name in asked}
        if None not in own.values():
            values = {name: one.value(name, source) for name, one in asked.items()}
            if values != own:
                targets.append(Target(sample_id, values, "--target"))
    if not targets:
        raise InputError(
            f"no subject can be given this target: every one has it already, or its "
            f"{' or '.join(asked)} is not known"
        )
    return tuple(targets[k] for k in np.random.default_rng([seed, 0]).permutation(len(targets)))
