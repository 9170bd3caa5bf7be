"""The early warning: twins of what drives the loop, fitted without the source's subject."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from qctkit.cli.outcome import outcome_lines
from qctkit.engine.targets import Target
from qctkit.pipeline.augment import AugmentOptions, augment
from qctkit.pipeline.augment_unseen import TwinReading, warning
from qctkit.pipeline.info import outcome
from qctkit.predictors.trained import Fold, PredictorSet
from qctkit.progress import Silent
from qctkit.registry import load_registry
from qctkit.store.reader import CohortFile
from tests.pipeline.density_loop import DENSITY_LOOP

REGISTRY = load_registry()


class Blind(nn.Module):
    """A twin whose readings never move."""

    def forward(self, image: Tensor) -> Tensor:
        return torch.zeros(len(image), 3)


def _record(
    real: CohortFile, predictors: PredictorSet, folds: tuple[Fold, ...], path: Path
) -> dict[str, Any]:
    """Return the record of the first subject made 25 years older, its driver with these twins."""
    driver, reader = predictors.predictors
    both = replace(predictors, predictors=(replace(driver, folds=folds), reader))
    first = real.sample_ids[0]
    target = Target(first, {"age_years": (real.subject(first).age_years or 0.0) + 25.0})
    recipe = replace(DENSITY_LOOP, validators=(), steps=20)
    options = AugmentOptions(1, seed=3, targets=(target,))
    augment(real, recipe, both, REGISTRY, options, path, Silent())
    made = CohortFile(path)
    return dict(outcome(made, made.sample_ids[0]))


@pytest.fixture(scope="module")
def fooled(
    real: CohortFile,
    trained: Callable[..., PredictorSet],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """Return how it comes out where the twin of the source's own fold is blind to the change."""
    predictors = trained()
    own, *others = (real.subject(one).subject_id for one in real.sample_ids)
    folds = (
        Fold(frozenset({own}), Blind()),
        Fold(frozenset(others), predictors.predictors[0].module),
    )
    return _record(real, predictors, folds, tmp_path_factory.mktemp("fooled") / "made.h5")


def test_where_a_twin_does_not_follow_the_record_says_so(fooled: dict[str, Any]) -> None:
    age = next(one for one in fooled["twin_readings"] if one["attribute"] == "age_years")
    assert age["after"] - age["before"] > 5.0
    assert (age["unseen_before"], age["unseen_after"], age["twins"]) == (0.0, 0.0, 1)
    assert "may fool" in fooled["warning"]
    assert "bone-density reads age_years" in fooled["warning"]
    assert fooled["warning"] in "\n".join(outcome_lines(fooled))


def test_a_warning_refuses_nothing(fooled: dict[str, Any]) -> None:
    assert fooled["accepted"]


def test_a_twin_that_reads_alike_gives_no_warning_and_all_are_asked_of_a_stranger(
    real: CohortFile, trained: Callable[..., PredictorSet], tmp_path: Path
) -> None:
    predictors = trained()
    twin = predictors.predictors[0].module
    folds = tuple(Fold(frozenset({f"stranger {n}"}), twin) for n in range(2))
    record = _record(real, predictors, folds, tmp_path / "made.h5")
    age = next(one for one in record["twin_readings"] if one["attribute"] == "age_years")
    assert age["twins"] == 2
    assert (age["unseen_before"], age["unseen_after"]) == (age["before"], age["after"])
    assert record["warning"] == ""
    assert "both agree" in "\n".join(outcome_lines(record))


def _reading(after: float, unseen_after: float) -> TwinReading:
    return TwinReading("net", "age_years", 60.0, after, 55.0, unseen_after, 1, 8.0)


@pytest.mark.parametrize(
    ("after", "unseen_after", "is_fooled"),
    [
        (80.0, 70.0, False),
        (80.0, 60.0, True),
        (80.0, 40.0, True),
        (40.0, 44.0, False),
        (40.0, 55.0, True),
        (63.0, 55.0, False),  # it hardly moved, so that nobody needs to follow
    ],
)
def test_a_twin_must_follow_half_of_a_move_in_the_same_direction(
    after: float, unseen_after: float, *, is_fooled: bool
) -> None:
    reading = _reading(after, unseen_after)
    assert reading.is_fooled is is_fooled
    assert bool(warning([reading])) is is_fooled
