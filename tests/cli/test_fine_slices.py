"""A slice network on fine slices, from a configuration file to readings by ONNX Runtime."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

CONFIGURATION = """
folds = 2
families = ["slice-network"]
[network.slice-network]
attributes = ["sex", "age_years"]
view_shape = [10, 96, 96]
view_spacing_mm = [9, 1.5, 1.25]
epochs = 1
batch = 8
"""


def test_fine_slices_are_trained_exported_and_read(
    qctkit: Callable[..., Any], real: Path, tmp_path: Path
) -> None:
    configuration, predictors, onnx = (tmp_path / one for one in ("f.toml", "fine", "onnx"))
    configuration.write_text(CONFIGURATION)
    arguments = ("--config", configuration, "--workers", 1)
    assert qctkit("train", real, "-o", predictors, *arguments).code == 0
    assert sorted(one.name for one in tmp_path.iterdir()) == ["f.toml", "fine"]
    (entry,) = json.loads((predictors / "predictors.json").read_text())["predictors"]
    assert entry["view"]["shape"] == [10, 96, 96]
    assert entry["view"]["spacing_mm"] == [9.0, 1.5, 1.25]

    assert qctkit("export", predictors, "-o", onnx).code == 0
    checks = json.loads((onnx / "predictors.json").read_text())["checks"]["slice-network"]
    assert all(one["relative_difference"] <= 1e-4 for one in checks["parities"])

    ended = qctkit("predict", real, "--predictors", onnx, "--device", "cpu", "--json")
    assert ended.code == 0
    rows = {row["sample_id"]: row for row in json.loads(ended.out)}
    assert len(rows) == 8
    assert all(0.0 < row["probability_male"] < 1.0 for row in rows.values())
    ages = [row["age_years"] for row in rows.values()]
    assert 20.0 < min(ages) < max(ages) < 110.0


def test_a_spacing_that_no_view_has_is_refused(
    refused: Callable[..., str], real: Path, tmp_path: Path
) -> None:
    configuration = tmp_path / "f.toml"
    configuration.write_text(CONFIGURATION.replace("1.25", "0.05"))
    message = refused("train", real, "-o", tmp_path / "fine", "--config", configuration)
    assert "network.slice-network.view_spacing_mm is [9, 1.5, 0.05]" in message
    assert "0.2 to 20" in message
