"""What is asked of each candidate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from qctkit.errors import InputError
from qctkit.subject import ATTRIBUTES, Origin, Sex, Subject


@dataclass(frozen=True)
class Target:
    """One candidate to make: its source, and the values wanted of driven attributes.

    ``extrapolates`` names attributes whose value lies outside the real cohort's range.
    """

    source_sample_id: str
    values: Mapping[str, float]
    extrapolates: tuple[str, ...] = ()

    def label(self, source: Subject, carried: Sequence[str]) -> Subject:
        """Return the true label: the target for carried attributes, else the source's value."""
        wanted = {name: self.values[name] for name in carried if name in self.values}
        label = replace(source, origins=source.origins | dict.fromkeys(wanted, Origin.TARGET))
        if "sex" in wanted:
            label = replace(label, sex=Sex.M if wanted["sex"] > 0.5 else Sex.F)
        if "age_years" in wanted:
            label = replace(label, age_years=wanted["age_years"])
        if "weight_kg" in wanted:
            label = replace(label, weight_kg=wanted["weight_kg"])
        return label


def draw_target(
    sources: Mapping[str, Subject], driven: Sequence[str], seed: int, number: int
) -> Target:
    """Return the target of a candidate: another subject's values, all from that one subject.

    Values of one real person keep the joint distribution of the cohort: attributes are
    correlated, and drawing them one by one would ask for people who do not exist. Sources take
    turns in an order drawn from the seed; candidate ``number`` is the same however many are made.

    Raises:
        InputError: no source has all driven attributes, or none differs from the others.
    """
    able = [
        sample_id
        for sample_id, subject in sources.items()
        if all(subject.value(name) is not None for name in driven)
    ]
    if len({sources[one].subject_id for one in able}) < 2:
        raise InputError(
            f"targets for {', '.join(driven) or 'no attribute'} need at least two subjects with "
            "known values; complete the table of subjects"
        )
    order = np.random.default_rng([seed, 0]).permutation(len(able))
    source = able[order[number % len(able)]]
    others = [one for one in able if sources[one].subject_id != sources[source].subject_id]
    model = sources[others[int(np.random.default_rng([seed, 1, number]).integers(len(others)))]]
    return Target(source, {name: _known(model, name) for name in driven})


def outside_range(values: Mapping[str, float], subjects: Sequence[Subject]) -> tuple[str, ...]:
    """Return the attributes whose target no real subject of the cohort reaches."""
    outside = []
    for name, value in values.items():
        known = [v for one in subjects if (v := one.value(name)) is not None]
        if ATTRIBUTES[name].kind == "continuous" and not (
            known and min(known) <= value <= max(known)
        ):
            outside.append(name)
    return tuple(outside)


def _known(subject: Subject, name: str) -> float:
    value = subject.value(name)
    if value is None:
        raise InputError(f"{name} of subject {subject.subject_id} is not known")
    return value
