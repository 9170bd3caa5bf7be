"""A recipe that aims at measures, driven by a graph of them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qctkit.engine.losses.attributes import SquaredError
from qctkit.engine.targets import Target
from qctkit.pipeline.augment import AugmentOptions, augment
from qctkit.predictors.gradient_export import export_measures_gradient
from qctkit.predictors.onnx_export import export_predictor
from qctkit.predictors.trained import PredictorSet
from qctkit.progress import Silent
from qctkit.registry import load_registry
from qctkit.store.reader import CohortFile

WANTED = 2


@pytest.fixture(scope="module")
def graphs(trained: Callable[..., PredictorSet], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, driver = tmp_path_factory.mktemp("graphs"), trained().named("bone-density")
    description, _ = export_predictor(driver, {}, folder)
    export_measures_gradient(driver, description, SquaredError(), folder)
    return folder


@pytest.fixture(scope="module")
def make(
    real: CohortFile, trained: Callable[..., PredictorSet], graphs: Path, tmp_path_factory: Any
) -> Callable[[str, bool], CohortFile]:
    """Return what follows measures of density to another age, by PyTorch or by graphs."""
    registry, folder = load_registry(), tmp_path_factory.mktemp("made")
    recipe = replace(
        registry.recipe("femur-density"), predictors=("bone-density",), validators=("structure",)
    )
    targets = tuple(
        Target(one, {"age_years": (real.subject(one).age_years or 0.0) + years})
        for one, years in zip(real.sample_ids, (8.0, -8.0), strict=False)
    )

    def made(name: str, by_graphs: bool) -> CohortFile:
        options = AugmentOptions(
            WANTED, seed=1, targets=targets, gradients=graphs if by_graphs else None
        )
        path = folder / f"{name}.h5"
        augment(real, recipe, trained(), registry, options, path, Silent())
        return CohortFile(path)

    return made


def _records(cohort: CohortFile) -> list[dict[str, Any]]:
    made = [sample.synthesis.record for sample in cohort if sample.synthesis]
    return sorted([*made, *cohort.refused], key=lambda one: one["number"])


def test_measures_are_followed_by_a_graph_as_by_pytorch(
    make: Callable[[str, bool], CohortFile],
) -> None:
    by_torch, by_graph = make("torch", False), make("graph", True)
    assert "gradient_graphs" not in by_torch.run
    assert list(by_graph.run["gradient_graphs"]) == ["bone-density"]
    pairs = list(zip(_records(by_torch), _records(by_graph), strict=True))
    assert len(pairs) == WANTED
    for one, other in pairs:
        losses = np.array(one["losses"])
        assert losses.min() < 0.7 * losses[0]
        assert len(other["losses"]) == len(losses)
        np.testing.assert_allclose(other["losses"], losses, rtol=1e-2)
        for before, after in zip(one["readings"], other["readings"], strict=True):
            assert after["after"] == pytest.approx(before["after"], rel=1e-3)
