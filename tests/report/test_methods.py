"""The methods paragraph names every parameter, from the run's record."""

from dataclasses import fields, replace
from typing import Any

import pytest

from qctkit.pipeline.report_facts import gather
from qctkit.progress import Silent
from qctkit.registry import load_registry
from qctkit.report.facts import ReportFacts
from qctkit.report.methods import methods
from tests.small_run import SmallRun, small_recipe


@pytest.fixture(scope="module")
def facts(small_run: SmallRun) -> ReportFacts:
    return gather(*small_run.cohorts, Silent())


def test_step_sizes_and_limits_are_those_of_edits_and_validators(facts: ReportFacts) -> None:
    registry, text = load_registry(), methods(facts)
    recipe = small_recipe(registry)
    for name in recipe.edits:
        edit = registry.edit(name)
        for parameter, size in edit.step_sizes.items():
            assert f"{parameter} {size:g} {edit.units[parameter]}".strip() in text
        assert f"{name}, {edit.limits}" in text
    for name in recipe.validators:
        assert f"{name} ({registry.validator(name).limits})" in text
    assert f"{recipe.steps} were taken" in text
    assert f"{recipe.patience} steps brought nothing" in text
    assert f"{recipe.carried_by} predicts on held-out subjects" in text
    assert f"at least {recipe.least_r2:g}." in text
    for name, weight in recipe.preservation.items():
        assert f"{name} (weight {weight:g})" in text


def test_every_built_in_edit_and_validator_states_its_limits_with_figures() -> None:
    registry = load_registry()
    for kind in ("edits", "validators"):
        for name in registry.names(kind):
            one: Any = registry.component(kind, name)
            if type(one).__module__.startswith("qctkit."):
                assert any(sign.isdigit() for sign in one.limits), name
                assert "limits" in {field.name for field in fields(one)}


def test_what_is_held_or_takes_no_step_is_said(facts: ReportFacts) -> None:
    optimiser = facts.run["optimiser"]
    first, *others = optimiser["parameters"]
    held = {**optimiser["parameters"], first: {**optimiser["parameters"][first], "held": True}}
    run = {**facts.run, "optimiser": {**optimiser, "parameters": held}}
    text = methods(replace(facts, run=run))
    assert f"; {first} held" in text
    assert others[0] in text.split("step sizes")[1].split("held")[0]


def test_a_bound_stands_in_a_weights_place(facts: ReportFacts) -> None:
    run = {**facts.run, "preservation": {"mahalanobis": {"at_most": 0.5}, "size": 0.05}}
    text = methods(replace(facts, run=run))
    assert "mahalanobis (at most 0.5), size (weight 0.05)" in text


def test_a_transform_is_not_called_an_optimisation(facts: ReportFacts) -> None:
    record = {**facts.made[0].record, "transform": "shift", "edits": []}
    made = [replace(facts.made[0], record=record)]
    text = methods(replace(facts, made=made, run={**facts.run, "optimiser": None}))
    assert "made by shift" in text
    assert "Adam" not in text


def test_a_run_of_before_limits_were_recorded_still_has_a_paragraph(facts: ReportFacts) -> None:
    new = ("optimiser", "edit_limits", "validator_limits", "carried_by", "least_r2")
    run = {name: one for name, one in facts.run.items() if name not in new}
    text = methods(replace(facts, run=run))
    assert "all validators passed: attributes; structure; density." in text
