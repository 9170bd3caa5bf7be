"""The page of a real, small training, run through the command line."""

import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qctkit.cli.main import run
from qctkit.report.training import write_training_page
from qctkit.report.training_words import shown

SUBJECTS, FOLDS, EPOCHS = 8, 2, 2
SETTINGS = f"""
folds = {FOLDS}
families = ["bone-density", "age-weight-network"]
[network.age-weight-network]
epochs = {EPOCHS}
view_shape = [20, 16, 20]
view_spacing_mm = 6.0
[network.slice-network]
epochs = 1
view_shape = [20, 16, 20]
view_spacing_mm = 6.0
"""


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("training")
    (path / "train.toml").write_text(SETTINGS)
    simulate = ["simulate", "-o", f"{path / 'real.h5'}", "--subjects", f"{SUBJECTS}"]
    assert run([*simulate, "--spacing-mm", *"544"]) == 0
    return path


def trained(workplace: Path, name: str, *options: str) -> Path:
    config = ["--config", f"{workplace / 'train.toml'}", "--workers", "1"]
    output = workplace / name
    assert run(["train", f"{workplace / 'real.h5'}", "-o", f"{output}", *config, *options]) == 0
    return output


@pytest.fixture(scope="module")
def predictors(workplace: Path) -> Path:
    return trained(workplace, "predictors", "--split", "both")


@pytest.fixture(scope="module")
def metrics(predictors: Path) -> dict[str, Any]:
    return dict(json.loads((predictors / "metrics.json").read_text()))


@pytest.fixture(scope="module")
def held_out(predictors: Path) -> dict[str, Any]:
    return dict(json.loads((predictors / "held_out.json").read_text()))


@pytest.fixture(scope="module")
def page(predictors: Path) -> str:
    return html.unescape((predictors / "report.html").read_text(encoding="utf-8"))


def cells(row: str) -> list[str]:
    return re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)


def rows_of(page: str, heading: str) -> list[list[str]]:
    part = page.split(f"<h2>{heading}</h2>")[1].split("<h2>")[0]
    return rows_in(part.split("<h3>")[0])


def rows_in(part: str) -> list[list[str]]:
    return [cells(row) for row in re.findall(r"<tr.*?</tr>", part)]


@pytest.mark.parametrize(("heading", "name"), [("Age", "age_years"), ("Weight", "weight_kg")])
def test_the_page_shows_what_intervals_hold_of_held_out_subjects(
    page: str, metrics: Mapping[str, Any], heading: str, name: str
) -> None:
    part = page.split(f"<h2>{heading}</h2>")[1].split("<h2>")[0].split("<h3>How sure</h3>")[1]
    _, *rows = rows_in(part)
    found = {
        one: each[name]["per_subject"]["spread"] for one, each in metrics["predictors"].items()
    }
    assert sorted(rows) == [
        [one, *(shown(spread[key]) for key in ("mean_spread", "within_68", "within_95"))]
        for one, spread in found.items()
    ]


@pytest.mark.parametrize(("heading", "name"), [("Age", "age_years"), ("Weight", "weight_kg")])
def test_the_page_holds_the_figures_of_metrics_json_beside_the_mean_predictor(
    page: str, metrics: Mapping[str, Any], heading: str, name: str
) -> None:
    rows = {row[0]: row for row in rows_of(page, heading)}
    every = {one: found[name]["per_subject"] for one, found in metrics["predictors"].items()}
    every["mean predictor"] = metrics["mean_predictor"][name]
    assert list(every) == ["age-weight-network", "bone-density", "mean predictor"]
    for one, found in every.items():
        assert rows[one][1:5] == [
            shown(found["mae"]), shown(found["mse"], 1), shown(found["r2"]), shown(found["bias"])
        ]  # fmt: skip
        assert [float(cell) for cell in rows[one][5:]] == pytest.approx(
            [band["bias"] for band in found["bias_by_band"]], abs=0.051
        )


def test_the_confusion_matrix_is_that_of_metrics_json(
    page: str, metrics: Mapping[str, Any]
) -> None:
    confusion = metrics["predictors"]["bone-density"]["sex"]["per_subject"]["confusion"]
    assert sum(confusion.values()) == SUBJECTS
    rows = rows_of(page, "Sex")
    assert ["true F", *(f"{confusion[f'true_f_read_{one}']}" for one in "fm")] in rows
    assert ["true M", *(f"{confusion[f'true_m_read_{one}']}" for one in "fm")] in rows


def test_the_page_refers_to_nothing_outside_itself(page: str, workplace: Path) -> None:
    assert all(one.startswith("data:image/png;base64,") for one in re.findall(r'src="(.*?)"', page))
    assert not re.search(r"https?:|<script|<link|<iframe|url\(|@import|href=", page)
    assert str(workplace) not in page
    assert len(page) < 600_000


def test_every_picture_is_told_in_words(page: str) -> None:
    told = re.findall(r'<img src="[^"]*" alt="([^"]*)">', page)
    assert len(told) == page.count("<img") == 5
    assert all(len(words) > 80 for words in told)


def test_the_split_of_slices_is_labelled_as_leaking_and_stands_beside_the_study(
    page: str, metrics: Mapping[str, Any]
) -> None:
    assert metrics["leaks"] is False
    assert metrics["leaking"]["leaks"] is True
    heading, *rows = rows_of(page, "Per slice, and the study's split")
    assert heading[2:] == ["split of slices: LEAKS", "the study: a split of slices"]
    honest, leaking = (
        shown(one["per_slice"]["slice-network"]["sex"]["accuracy"], 3)
        for one in (metrics, metrics["leaking"])
    )
    assert ["Sex: share right", honest, leaking, "0.995"] in rows
    assert rows[0][3] == "2259 / 2 / 20 / 1754"


def test_a_page_without_the_split_of_slices_does_not_speak_of_it(
    metrics: Mapping[str, Any], held_out: Mapping[str, Any], tmp_path: Path
) -> None:
    figures = {**metrics, "held_out": held_out}
    del figures["leaking"]
    text = write_training_page(figures, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "LEAKS" not in text
    assert "slice-network" in text


def test_a_cohort_with_gaps_has_its_page(
    metrics: Mapping[str, Any], held_out: Mapping[str, Any], tmp_path: Path
) -> None:
    figures = json.loads(json.dumps({**metrics, "held_out": held_out}))
    for one in figures["held_out"]["subjects"]:
        one["weight_kg"] = None
    figures["held_out"]["subjects"][0].update(age_years=None, sex=None)
    figures["skipped"] = {"weight_kg": "0 known values, with no spread"}
    kinds = (*figures["predictors"].values(), figures["mean_predictor"])
    for found in (*kinds, figures["per_slice"]["slice-network"]):
        found.pop("weight_kg")
    text = write_training_page(figures, tmp_path / "page.html").read_text(encoding="utf-8")
    assert f"not known: sex of 1, age of 1, weight of {SUBJECTS}" in text
    assert "Weight was skipped: 0 known values, with no spread." in text
    assert "<h2>Weight</h2>" not in text


def test_simulated_subjects_are_said_to_be(
    page: str, metrics: Mapping[str, Any], held_out: Mapping[str, Any], tmp_path: Path
) -> None:
    assert "<strong>simulated</strong> subjects" in page
    people = [{**one, "simulated": False} for one in held_out["subjects"]]
    figures = {**metrics, "held_out": {**held_out, "subjects": people}}
    text = write_training_page(figures, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "simulated" not in text


def test_the_page_says_which_predictors_may_drive_the_loop(page: str) -> None:
    rows = rows_of(page, "Which may drive the loop")
    assert ["bone-density", "sex, age, weight", "may drive the loop"] in rows


def test_held_out_readings_are_kept_for_every_subject_and_give_the_figures(
    metrics: Mapping[str, Any], held_out: Mapping[str, Any]
) -> None:
    subjects = held_out["subjects"]
    assert len({one["subject_id"] for one in subjects}) == SUBJECTS
    assert {one["fold"] for one in subjects} == set(range(FOLDS))
    true = np.array([one["age_years"] for one in subjects])
    for predictor, found in metrics["predictors"].items():
        error = np.abs(np.array(held_out["readings"][predictor]["age_years"]) - true).mean()
        assert found["age_years"]["per_subject"]["mae"]["value"] == pytest.approx(error, rel=1e-5)


def test_losses_of_every_fold_are_kept_by_epoch(held_out: Mapping[str, Any]) -> None:
    curves = held_out["learning_curves"]
    assert list(curves) == ["age-weight-network"]
    assert np.array(curves["age-weight-network"]).shape == (FOLDS, EPOCHS, 2)


def test_measuring_the_leaking_split_changes_no_predictor(
    predictors: Path, workplace: Path
) -> None:
    alone = trained(workplace, "alone")
    names = sorted(one.name for one in alone.iterdir())
    assert names == sorted(one.name for one in predictors.iterdir())
    for name in names:
        if name.endswith((".safetensors", "predictors.json")):
            assert (alone / name).read_bytes() == (predictors / name).read_bytes()


def test_a_folder_with_its_page_can_be_overwritten(workplace: Path) -> None:
    first = trained(workplace, "again")
    assert (first / "report.html").is_file()
    trained(workplace, "again", "--overwrite")
