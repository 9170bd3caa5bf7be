"""The contract of validators, as checks."""

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import numpy as np

from qctkit.contracts import Candidate, Reading, Role, Validator, Verdict
from qctkit.subject import Subject
from qctkit.testing.contract import Contract, expect
from qctkit.testing.cost import cost_in_words
from qctkit.testing.femurs import make_people, make_reference
from qctkit.testing.writes import writes_only_below


class ValidatorContract(Contract):
    """A validator answers candidates of several kinds as its protocol promises.

    The candidates are a femur unchanged, made denser, scrambled, and one of a subject of whom
    nothing is known.
    """

    component: Validator

    def test_it_gives_a_verdict_in_its_name(self) -> None:
        """Every candidate gets a verdict that carries the validator's name."""
        for what, verdict in self._verdicts():
            expect(isinstance(verdict, Verdict), f"{what}: it returned {verdict!r}")
            expect(
                verdict.validator == self.component.name,
                f"{what}: the verdict is signed {verdict.validator!r}, not {self.component.name!r}",
            )
            expect(type(verdict.passed) is bool, f"{what}: passed is {verdict.passed!r}, no bool")
            self.found(f"{what}: {'passes' if verdict.passed else 'fails'}")

    def test_its_figures_are_finite_numbers(self) -> None:
        """The figures of a verdict are finite numbers by name, and can be stored as JSON."""
        names: set[str] = set()
        for what, verdict in self._verdicts():
            for name, value in verdict.figures.items():
                number = isinstance(value, int | float) and math.isfinite(value)
                expect(number, f"{what}: {name} is {value!r}, which is no finite number")
            json.dumps(verdict.record(), allow_nan=False)
            names |= set(verdict.figures)
        self.found(", ".join(sorted(names)) or "none")

    def test_its_words_say_what_was_found(self) -> None:
        """The words say what was found, not only whether it passed."""
        said = dict(self._verdicts())
        for what, verdict in said.items():
            words = verdict.words.strip()
            expect(len(words.split()) > 2, f"{what}: its words are {verdict.words!r}")
            expect("\n" not in words, f"{what}: its words are more than one line")
        self.found(repr(said["made denser"].words))

    def test_it_says_the_same_every_time(self) -> None:
        """The same candidate gets the same verdict every time."""
        for (what, first), (_, again) in zip(self._verdicts(), self._verdicts(), strict=True):
            expect(
                first.record() == again.record(),
                f"{what}: first {first.record()}, then {again.record()}",
            )

    def test_it_changes_nothing(self) -> None:
        """It changes neither the candidate nor the reference."""
        for what, candidate in _candidates():
            before = _state(candidate)
            self.component.judge(candidate, make_reference())
            expect(_state(candidate) == before, f"{what}: the candidate was changed")

    def test_it_writes_no_file(self) -> None:
        """Judging writes no file."""
        _candidates()
        with writes_only_below():
            list(self._verdicts())

    def test_what_a_call_costs(self) -> None:
        """Judging a candidate of 40 x 32 x 32 voxels takes the time and memory stated."""
        (_, candidate), *_ = _candidates()
        self.found(cost_in_words(lambda: self.component.judge(candidate, make_reference())))

    def _verdicts(self) -> Iterator[tuple[str, Verdict]]:
        for what, candidate in _candidates():
            yield what, self.component.judge(candidate, make_reference())


@lru_cache(maxsize=1)
def _candidates() -> tuple[tuple[str, Candidate], ...]:
    source = make_people(1)[0]
    inside = source.femur.voxels
    unchanged = Candidate(
        source=source,
        volume=source.volume,
        femur=source.femur,
        region=inside,
        label=source.subject,
        carried=(),
        readings=(),
    )
    hu = source.volume.voxels.astype(np.float32)
    denser, scrambled = hu.copy(), hu.copy()
    denser[inside] *= 1.1
    scrambled[inside] = np.random.default_rng(0).permutation(scrambled[inside])
    unknown = replace(source, subject=Subject("P00"))
    older = replace(source.subject, age_years=80.0)
    return (
        ("unchanged", unchanged),
        (
            "made denser",
            replace(
                unchanged,
                volume=source.volume.with_voxels(denser),
                label=older,
                carried=("age_years",),
                readings=(_reading(Role.LOOP), _reading(Role.READER)),
            ),
        ),
        ("scrambled", replace(unchanged, volume=source.volume.with_voxels(scrambled))),
        ("of an unknown", replace(unchanged, source=unknown, label=unknown.subject)),
    )


def _reading(role: Role) -> Reading:
    return Reading(
        predictor=f"a-{role}",
        role=role,
        attribute="age_years",
        before=60.0,
        after=69.0,
        expected=70.0,
        typical_error=8.0,
        can_read=True,
    )


def _state(candidate: Candidate) -> tuple[str, ...]:
    arrays = (
        candidate.source.volume.voxels,
        candidate.source.femur.voxels,
        candidate.volume.voxels,
        candidate.region,
    )
    sums = [hashlib.sha256(one.tobytes()).hexdigest() for one in arrays]
    return (*sums, repr(candidate.label), repr(candidate.readings), repr(candidate.carried))
