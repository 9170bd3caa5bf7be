import base64
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qctkit.cli.outcome import outcome_lines
from qctkit.engine.targets import Target
from qctkit.errors import CohortFileError
from qctkit.pipeline.augment import AugmentOptions, augment
from qctkit.pipeline.info import outcome
from qctkit.predictors.trained import PredictorSet
from qctkit.progress import Silent
from qctkit.registry import load_registry
from qctkit.store.reader import CohortFile
from tests.pipeline.density_loop import DENSITY_LOOP

REGISTRY = load_registry()
PAGE = Path(__file__).parents[2] / "docs" / "cohort-format.md"

STEPS = 2  # too few for 45 years


@pytest.fixture(scope="module", params=[True, False], ids=["accepted", "refused"])
def record(
    request: pytest.FixtureRequest,
    real: CohortFile,
    trained: Callable[..., PredictorSet],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """Return how one candidate came out: a usual one, and one asked far more than it can do."""
    years = 5.0 if request.param else 45.0
    recipe = replace(
        DENSITY_LOOP,
        validators=("structure",) if request.param else ("structure", "attributes"),
        steps=STEPS,
    )
    first = real.sample_ids[0]
    target = Target(first, {"age_years": (real.subject(first).age_years or 0.0) + years})
    path = tmp_path_factory.mktemp("outcome") / "made.h5"
    options = AugmentOptions(1, seed=5, targets=(target,))
    augment(real, recipe, trained(), REGISTRY, options, path, Silent())
    made = CohortFile(path)
    name = made.sample_ids[0] if request.param else "candidate-00000"
    found = dict(outcome(made, name))
    assert found["accepted"] is request.param
    return found


def _documented() -> set[str]:
    page = PAGE.read_text(encoding="utf-8")
    section = page.split("## Record of a candidate")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE))


def test_the_page_names_everything_on_record(record: dict[str, Any]) -> None:
    assert set(record) == _documented() - {"replayed"}


def test_every_step_has_its_loss(record: dict[str, Any]) -> None:
    assert record["steps"] == len(record["losses"]) == STEPS
    assert record["stop"] == ("reached" if record["accepted"] else "out of steps")


def test_every_predictor_is_read_before_and_after(record: dict[str, Any]) -> None:
    read = {(one["predictor"], one["attribute"]) for one in record["readings"]}
    names = ("sex", "age_years", "weight_kg")
    assert read == {(one, name) for one in ("bone-density", "reader-network") for name in names}
    assert all(one["before"] != one["after"] for one in record["readings"])


def test_the_size_of_the_edit_is_told_in_its_units(record: dict[str, Any]) -> None:
    assert {name: one["unit"] for name, one in record["parameters"].items()} == dict(
        REGISTRY.edit("density-field").units
    )
    for one in record["parameters"].values():
        assert 0.0 < one["root_mean_square"] <= one["largest"]


def test_a_refused_candidate_keeps_its_parameters(record: dict[str, Any]) -> None:
    for one in record["parameters"].values():
        assert ("float32" in one) is not record["accepted"]
        if "float32" in one:
            values = np.frombuffer(base64.b64decode(one["float32"]), "<f4").reshape(one["shape"])
            assert np.abs(values).max() == pytest.approx(one["largest"])


def test_words_tell_what_a_user_asks_for(record: dict[str, Any]) -> None:
    words = "\n".join(outcome_lines(record))
    for one in ("source", "target", "loss", record["stop"], "reader-network", "structure", "torch"):
        assert one in words
    assert ("refused: " in words) is not record["accepted"]


def test_a_real_scan_has_no_outcome(real: CohortFile) -> None:
    with pytest.raises(CohortFileError, match="real scan"):
        outcome(real, real.sample_ids[0])
    with pytest.raises(CohortFileError, match="no sample"):
        outcome(real, "candidate-00000")
