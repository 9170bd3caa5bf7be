"""Gradient graphs through the command line: written, then driving the loop."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qctkit.cli.main import run
from qctkit.store.reader import CohortFile
from tests.predictors.third_party import hand_over_driver

TRAINING = """
folds = 2
families = ["bone-density", "sex-network"]
[network.sex-network]
epochs = 20
"""


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory, real: Path) -> Path:
    return _trained(tmp_path_factory.mktemp("networks"), real, TRAINING)


@pytest.fixture(scope="module")
def densities(tmp_path_factory: pytest.TempPathFactory, real: Path) -> Path:
    """The one predictor that the baseline cannot do without."""
    folder = tmp_path_factory.mktemp("densities")
    return _trained(folder, real, 'folds = 2\nfamilies = ["bone-density"]\n')


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


def test_a_predictor_with_no_python_drives_by_the_gradient_that_it_brings(
    qctkit: Callable[..., Any], real: Path, densities: Path, tmp_path: Path
) -> None:
    theirs, folder = hand_over_driver(tmp_path / "theirs"), tmp_path / "predictors"
    shutil.copytree(densities, folder)
    ended = qctkit("adopt", theirs, real, "--predictors", folder)
    assert ended.code == 0, ended.err
    assert "their-model may drive the loop" in ended.out
    asked = ("--plugin", "voxel-baseline", "-n", 2, "--max-candidates", 2, "--seed", 1, "-j", 1)
    given = ("augment", real, "--predictors", folder, "--driver", "their-model", *asked)
    for made in ("made.h5", "again.h5"):
        assert qctkit(*given, "-o", tmp_path / made).code in (0, 1)
    assert (tmp_path / "made.h5").read_bytes() == (tmp_path / "again.h5").read_bytes()
    run = CohortFile(tmp_path / "made.h5").run
    assert run["drivers"] == list(run["gradient_graphs"]) == ["their-model"]
    for record in _records(tmp_path / "made.h5").values():
        assert record["losses"][-1] < 0.2 * record["losses"][0]
        (moved,) = (
            one["after"] - one["before"]
            for one in record["readings"]
            if (one["predictor"], one["attribute"]) == ("their-model", "age_years")
        )
        assert abs(moved) > 0.1


def test_a_driver_that_is_not_among_the_predictors_is_refused(
    refused: Callable[..., str], real: Path, densities: Path, tmp_path: Path
) -> None:
    given = ("--plugin", "voxel-baseline", "--predictors", densities, "--driver", "nobody")
    assert "no 'nobody'" in refused("augment", real, *given, "-o", tmp_path / "made.h5")
