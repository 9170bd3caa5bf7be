"""Gradient graphs through the command line: written, then driving the loop."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qctkit.cli.main import run
from qctkit.store.reader import CohortFile

TRAINING = """
folds = 2
families = ["bone-density", "sex-network"]
[network.sex-network]
epochs = 20
"""


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory, real: Path) -> Path:
    return _trained(tmp_path_factory.mktemp("networks"), real, TRAINING)


def _trained(folder: Path, real: Path, config: str) -> Path:
    (folder / "train.toml").write_text(config)
    given = ("--config", f"{folder / 'train.toml'}", "--workers", "1")
    assert run(["train", f"{real}", "-o", f"{folder / 'predictors'}", *given]) == 0
    return folder / "predictors"


@pytest.fixture(scope="module")
def graphs(networks: Path) -> Path:
    path = networks.parent / "graphs"
    assert run(["export", f"{networks}", "-o", f"{path}", "--gradient"]) == 0
    return path


def test_the_baseline_runs_on_gradient_graphs(
    qctkit: Callable[..., Any], real: Path, networks: Path, graphs: Path, tmp_path: Path
) -> None:
    assert (graphs / "sex-network.gradient.onnx").is_file()
    made = {}
    for backend in ("torch", "onnxruntime"):
        path = tmp_path / f"{backend}.h5"
        given = ("--backend", backend, "--gradients", graphs) if backend != "torch" else ()
        asked = ("--plugin", "voxel-baseline", "-n", 9, "--max-candidates", 9, "--seed", 1, "-j", 2)
        ended = qctkit("augment", real, "--predictors", networks, *asked, *given, "-o", path)
        assert ended.code in (0, 1), ended.err
        made[backend] = _records(path)
        assert ("gradient_graphs" in CohortFile(path).run) == (backend == "onnxruntime")
    one, other = made.values()
    assert one.keys() == other.keys()
    first, last = (
        [[found[number]["losses"][place] for number in one] for found in (one, other)]
        for place in (0, -1)
    )
    assert first[1] == pytest.approx(first[0], rel=1e-3)
    # Who is asked for no change costs nothing from the start.
    assert sum(last[1]) < 0.5 * sum(first[1])
    assert sum(last[1]) == pytest.approx(sum(last[0]), rel=0.2)


def test_a_backend_without_graphs_and_graphs_without_a_backend_are_refused(
    refused: Callable[..., str], real: Path, networks: Path, graphs: Path, tmp_path: Path
) -> None:
    asked = ("augment", real, "--plugin", "voxel-baseline", "--predictors", networks)
    output = ("-o", tmp_path / "made.h5")
    assert "--gradients" in refused(*asked, "--backend", "onnxruntime", *output)
    assert "--gradients" in refused(*asked, "--gradients", graphs, *output)
    elsewhere = ("--backend", "onnxruntime", "--gradients", networks)
    assert "--gradient` writes it" in refused(*asked, *elsewhere, *output)


def _records(path: Path) -> dict[int, dict[str, Any]]:
    cohort = CohortFile(path)
    made = [sample.synthesis.record for sample in cohort if sample.synthesis]
    return {one["number"]: one for one in [*made, *cohort.refused]}
