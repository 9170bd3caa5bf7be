"""The page of loss terms says what the code holds."""

import re
from pathlib import Path

import pytest
import torch

from qctkit import bundled
from qctkit.contracts import Change, Edit, LossTerm
from qctkit.engine.edits.density_field import DensityField
from qctkit.engine.edits.voxel import Voxel
from qctkit.engine.loop import FEWEST_STEPS, REACHED_WITHIN, Stop
from qctkit.testing.scenes import BATCH, VIEW, make_scene, random_parameters

PAGE = (Path(__file__).parents[1] / "docs" / "losses.md").read_text(encoding="utf-8")


def _rows(heading: str) -> dict[str, list[str]]:
    """Return the cells of a section's table by the name in the first of them."""
    section = PAGE.split(f"## {heading}")[1].split("\n## ")[0]
    lines = [one for one in section.splitlines() if one.startswith("| `")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`"): row for row in rows}


def test_every_preservation_term_is_there_with_its_default_weight() -> None:
    weights = {one.name: one.default_weight for one in bundled.register_losses()}  # type: ignore[attr-defined]
    assert {name: float(row[2]) for name, row in _rows("Preservation terms").items()} == weights


def test_every_attribute_term_is_there() -> None:
    names = {one.name for one in bundled.register_attribute_terms()}
    assert set(_rows("Attribute terms")) == names


def test_every_way_to_end_is_there() -> None:
    assert set(_rows("How a candidate ends")) == set(Stop)
    assert re.search(rf"within {REACHED_WITHIN} typical errors", PAGE)
    assert re.search(rf"early after {FEWEST_STEPS} steps", PAGE)


@pytest.mark.parametrize("term", bundled.register_losses(), ids=lambda one: one.name)
def test_a_default_weight_makes_a_usual_change_matter_and_not_forbidden(term: LossTerm) -> None:
    edit: Edit = DensityField()
    parameters = random_parameters(edit)
    if term.name == "noise-spectrum":  # which is about patterns
        edit, noise = Voxel(), torch.Generator().manual_seed(0)
        parameters = {"change_hu": 5.0 * torch.randn(BATCH, *VIEW.shape, generator=noise)}
    scene = make_scene()
    change = Change(edit, scene, edit.apply(scene, parameters), parameters)
    cost = term.default_weight * float(term(change).mean())  # type: ignore[attr-defined]
    assert 0.01 <= cost <= 0.5
