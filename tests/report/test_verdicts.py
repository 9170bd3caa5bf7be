"""Each verdict turns where its limit is, and says so with a sign."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from qctkit.contracts import Candidate, Reading, Role
from qctkit.pipeline.report_facts import gather
from qctkit.pipeline.strain import strains
from qctkit.progress import Silent
from qctkit.report.change import changes_read
from qctkit.report.facts import MadeScan, ReportFacts
from qctkit.report.verdicts import (
    State,
    change_verdict,
    density_verdict,
    noise_verdict,
    realism_verdict,
    structure_verdict,
)
from qctkit.validators.attributes import Attributes
from tests.small_run import SmallRun


@pytest.fixture(scope="module")
def facts(small_run: SmallRun) -> ReportFacts:
    return gather(*small_run.cohorts, Silent())


def read_as(one: MadeScan, share: float, *, can_read: bool = True) -> MadeScan:
    """Return a sample of which every predictor reads a share of the change expected."""
    readings = [
        {**found, "can_read": can_read,
         "after": found["before"] + share * (found["expected"] - found["before"])}
        for found in one.record["readings"]
    ]  # fmt: skip
    return replace(one, record={**one.record, "readings": readings})


@pytest.mark.parametrize(
    ("share", "state"),
    [(1.0, State.GOOD), (0.7, State.FAIR), (0.3, State.BAD), (1.4, State.FAIR), (-1.0, State.BAD)],
)
def test_change_is_what_readers_outside_the_loop_read(
    facts: ReportFacts, share: float, state: State
) -> None:
    changes = changes_read([read_as(one, share) for one in facts.made])
    assert {one.in_loop for one in changes} == {True, False}
    assert all(one.gain == pytest.approx(share) for one in changes)
    assert change_verdict(changes, facts).state is state


def test_nothing_asked_or_nobody_to_read_it_is_not_measured(facts: ReportFacts) -> None:
    blind = changes_read([read_as(one, 1.0, can_read=False) for one in facts.made])
    assert change_verdict(blind, facts).state is State.UNKNOWN
    nothing = [{**one, "carried": False} for one in facts.run["carrying"]]
    idle = replace(facts, run={**facts.run, "carrying": nothing})
    assert change_verdict([], idle).state is State.UNKNOWN


def test_one_voxel_outside_the_region_breaks_structure(facts: ReportFacts) -> None:
    assert structure_verdict(facts.made).state is State.GOOD
    touched = [replace(facts.made[0], changed_outside=1), *facts.made[1:]]
    found = structure_verdict(touched)
    assert found.state is State.BAD
    assert found.words.startswith("1 of 6 samples")


def test_densities_far_from_the_line_do_not_hold(facts: ReportFacts) -> None:
    far = [replace(one, spreads={"trabecular_hu": 5.0, "cortical_hu": 0.0}) for one in facts.made]
    near = [replace(one, spreads={"trabecular_hu": 0.5, "cortical_hu": 0.0}) for one in facts.made]
    assert density_verdict(replace(facts, made=far)).state is State.BAD
    assert density_verdict(replace(facts, made=near)).state is State.GOOD


@pytest.mark.parametrize(
    ("ratio", "state"), [(1.0, State.GOOD), (0.92, State.FAIR), (1.2, State.BAD)]
)
def test_noise_is_judged_by_its_worst_grain(facts: ReportFacts, ratio: float, state: State) -> None:
    made = [replace(one, noise={"coarse": 1.0, "fine": ratio}) for one in facts.made]
    assert noise_verdict(made).state is state
    inside = [replace(one, noise_in_femur=0.87) for one in made]
    assert "87% lies in the femur" in noise_verdict(inside).words
    assert noise_verdict([replace(one, noise={}) for one in made]).state is State.GOOD


def analysis(auc: Mapping[str, float] | None, control: float) -> dict[str, Any]:
    known = None if auc is None else {"subjects": 9, **auc}
    affine = {"value": control, "low": None, "high": None, "subjects": 9}
    figure = {"name": "classifier_auc", "made": known, "affine_and_noise": affine}
    return {"realism": {"figures": [figure]}}


@pytest.mark.parametrize(
    ("auc", "control", "state"),
    [
        ({"value": 0.55, "low": 0.4, "high": 0.7}, 0.95, State.GOOD),
        ({"value": 0.55, "low": 0.2, "high": 0.9}, 0.95, State.FAIR),
        ({"value": 0.75, "low": 0.7, "high": 0.8}, 0.95, State.FAIR),
        ({"value": 0.95, "low": 0.9, "high": 1.0}, 0.95, State.BAD),
        ({"value": 0.95, "low": 0.9, "high": 1.0}, 0.60, State.BAD),
        ({"value": 0.55, "low": 0.4, "high": 0.7}, 0.60, State.UNKNOWN),
        (None, 0.95, State.UNKNOWN),
    ],
)
def test_a_weak_classifier_proves_nothing(
    auc: Mapping[str, float] | None, control: float, state: State
) -> None:
    assert realism_verdict(analysis(auc, control)).state is state


def test_every_state_has_a_sign_of_its_own() -> None:
    assert len({one.sign for one in State}) == len({one.word for one in State}) == len(State)


def test_a_strain_above_1_is_what_the_validator_of_attributes_refuses(
    facts: ReportFacts, small_run: SmallRun
) -> None:
    made, real = small_run.cohorts
    sample, source = made.load(made.sample_ids[0]), real.load(real.sample_ids[0])
    assert sample.synthesis is not None
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(50):
        readings = tuple(
            Reading(name, Role.READER, "age_years", 60.0, *generator.uniform(30, 90, 2), 9.0, True)
            for name in ("r1", "r2")
        )
        candidate = Candidate(
            source, sample.volume, sample.femur, sample.synthesis.region, sample.subject,
            ("age_years",), readings,
        )  # fmt: skip
        verdict = Attributes().judge(candidate, None)  # type: ignore[arg-type] # it needs none
        record = {
            "carried": ["age_years"],
            "readings": [vars(one) for one in readings],
            "verdicts": [verdict.record()],
        }
        assert (strains(record)["attributes"] <= 1.0) == verdict.passed
        refused += not verdict.passed
    assert 0 < refused < 50
    assert all(one.strain <= 1.0 for one in facts.made)
