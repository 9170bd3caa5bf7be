"""The report of a real run, written by the command line and looked at in a real browser."""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qctkit.cli.main import run
from qctkit.pipeline.analyse import analyse
from qctkit.progress import Silent
from qctkit.serve.answers import Answer, AnswerFile
from tests.browser import Seen, look
from tests.small_run import SmallRun


@pytest.fixture(scope="module")
def report(small_run: SmallRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    against = ["--against", f"{small_run.real}"]
    assert run(["report", f"{small_run.made}", *against, "-o", f"{path}"]) == 0
    return path


@pytest.fixture(scope="module")
def record(report: Path) -> dict[str, Any]:
    return dict(json.loads(report.with_suffix(".json").read_text(encoding="utf-8")))


@pytest.fixture
def seen(report: Path, chromium: Any) -> Iterator[Seen]:
    found = look(chromium, report)
    found.page.wait_for_selector("html[data-ready]")
    found.page.wait_for_function("document.querySelector('#slice-words').textContent")
    yield found
    assert found.troubles == []
    found.page.close()


def shown(seen: Seen, scan: str, place: str = "large") -> str:
    """Return what a canvas shows."""
    canvas = seen.page.locator(f'[data-place="{place}"] [data-scan={scan}]')
    return str(canvas.evaluate("canvas => canvas.toDataURL()"))


def words(seen: Seen) -> str:
    return str(seen.page.text_content("#slice-words"))


def test_the_page_asks_for_nothing_but_itself(seen: Seen, report: Path) -> None:
    assert [one for one in seen.requests if not one.startswith("data:")] == [report.as_uri()]
    text = report.read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=\"(?!data:|#)", text)
    assert len(text) < 10_000_000


def test_five_verdicts_stand_on_top_in_words_and_signs(seen: Seen, record: dict[str, Any]) -> None:
    cards = seen.page.locator(".five li")
    assert cards.count() == 5
    for card, verdict in zip(cards.all(), record["verdicts"], strict=True):
        assert card.locator(".sign").text_content().strip()
        assert card.locator(".state").text_content()[1:].strip()
        assert card.locator(".question").text_content() == verdict["question"]


def test_arrows_leaf_through_slices_and_samples(seen: Seen) -> None:
    page = seen.page
    page.focus("#browser")
    before, picture = words(seen), shown(seen, "sample")
    page.keyboard.press("ArrowDown")
    assert words(seen) != before
    assert shown(seen, "sample") != picture
    page.keyboard.press("ArrowUp")
    assert (words(seen), shown(seen, "sample")) == (before, picture)
    name = page.text_content("#title")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "name => document.querySelector('#title').textContent !== name", arg=name
    )
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(
        "name => document.querySelector('#title').textContent === name", arg=name
    )


def test_keys_choose_plane_and_window(seen: Seen) -> None:
    page = seen.page
    page.focus("#browser")
    picture = shown(seen, "source")
    page.keyboard.press("3")
    assert shown(seen, "source") != picture
    page.keyboard.press("a")
    assert words(seen).startswith("axial")
    assert page.is_checked("input[name=plane][value=axial]")


def test_holding_space_shows_the_source_in_the_samples_place(seen: Seen) -> None:
    seen.page.focus("#browser")
    source, sample = shown(seen, "source"), shown(seen, "sample")
    assert source != sample
    seen.page.keyboard.down(" ")
    assert shown(seen, "sample") == source
    seen.page.keyboard.up(" ")
    assert shown(seen, "sample") == sample


def test_a_click_moves_the_lines_and_the_wheel_leafs(seen: Seen) -> None:
    page = seen.page
    canvas = page.locator('[data-place="large"] [data-scan=sample]')
    other = shown(seen, "sample", "0")
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] * 0.2, "y": box["height"] * 0.8})
    assert shown(seen, "sample", "0") != other
    before = words(seen)
    page.mouse.wheel(0, 100)
    page.wait_for_function("was => document.querySelector('#slice-words').textContent !== was",
                           arg=before)  # fmt: skip


def test_source_and_difference_add_up_to_the_sample(seen: Seen) -> None:
    sums = seen.page.evaluate(
        """() => {
          const {source, sample, difference} = state.scans;
          const added = (hu, k) => hu + difference.voxels[k] === sample.voxels[k];
          return [...source.voxels].every(added)
            && difference.voxels.some((change) => change !== 0);
        }"""
    )
    assert sums


def test_the_filter_keeps_what_is_asked_for_and_clears(seen: Seen, record: dict[str, Any]) -> None:
    page = seen.page
    women = [one for one in record["made"] if one["sex"] == "F"]
    visible = page.locator(".card:visible")
    assert visible.count() == len(record["made"])
    page.select_option("#sex", "F")
    assert visible.count() == len(women)
    page.fill("#words", record["made"][0]["source_sample_id"])
    page.select_option("#sex", "")
    assert visible.count() == 1
    page.click("#filter button[type=reset]")
    page.wait_for_function("n => find('#count').textContent.startsWith(`${n} of`)",
                           arg=len(record["made"]))  # fmt: skip


def test_the_worst_come_first_and_a_card_opens_its_sample(
    seen: Seen, record: dict[str, Any]
) -> None:
    strain = {one["sample_id"]: max(one["strains"].values()) for one in record["made"]}
    order = [one.get_attribute("data-id") for one in seen.page.locator(".card").all()]
    assert order == sorted(order, key=lambda one: -strain[one])
    seen.page.locator(".card").last.click()
    seen.page.wait_for_function("id => document.querySelector('#title').textContent === id",
                                arg=order[-1])  # fmt: skip
    assert seen.page.locator("#asked tbody tr").count() == 3
    assert seen.page.locator("#read tbody tr").count() == 6


def test_every_picture_has_words(seen: Seen) -> None:
    unnamed = seen.page.evaluate(
        """() => [...document.querySelectorAll("svg[role=img], canvas[role=img], [role=img]")]
          .filter((one) => one.getClientRects().length && !one.getAttribute("aria-label")).length"""
    )
    assert unnamed == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_charts_are_legible_on_a_light_and_a_dark_page(seen: Seen, scheme: str) -> None:
    seen.page.emulate_media(color_scheme=scheme)
    contrast = seen.page.evaluate(
        """() => {
          const level = (colour) => {
            const [r, g, b] = colour.match(/[\\d.]+/g).map((one) => {
              const part = one / 255;
              return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
            });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const plot = document.querySelector("figure.plot");
          const paper = level(getComputedStyle(plot).backgroundColor);
          return Math.min(...[...document.querySelectorAll("figure.plot svg text")].map((text) => {
            const ink = level(getComputedStyle(text).fill);
            return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
          }));
        }"""
    )
    assert contrast > 4.5  # WCAG 2.2, 1.4.3


def test_a_narrow_window_needs_no_scrolling_sideways(seen: Seen) -> None:
    seen.page.set_viewport_size({"width": 420, "height": 800})
    width = seen.page.evaluate("document.documentElement.scrollWidth")
    seen.page.set_viewport_size({"width": 1280, "height": 800})
    assert width <= 420


def test_the_table_lists_every_candidate(report: Path, small_run: SmallRun) -> None:
    made, _ = small_run.cohorts
    rows = list(csv.DictReader(io.StringIO(report.with_suffix(".csv").read_text("utf-8"))))
    assert [one["sample_id"] for one in rows if one["accepted"] == "True"] == list(made.sample_ids)
    assert len(rows) == len(made) + len(made.refused)
    for one in rows[: len(made)]:
        assert float(one["label_age_years"]) == pytest.approx(float(one["target_age_years"]))
        assert one["voxels_changed_outside"] == "0"


def test_the_record_holds_what_the_page_says(record: dict[str, Any], report: Path) -> None:
    page = report.read_text(encoding="utf-8")
    assert record["methods"].split(".")[0] in page
    assert f"seed {record['run']['seed']}" in record["methods"]
    for name, version in record["run"]["versions"].items():
        assert f"{name} {version}" in record["methods"]


def test_what_was_not_computed_is_said(report: Path) -> None:
    page = report.read_text(encoding="utf-8")
    assert "Slopes and their tests were not computed" in page
    assert "Nobody's blinded reading was given" in page


def test_the_same_report_is_the_same_bytes(
    report: Path, small_run: SmallRun, tmp_path: Path
) -> None:
    again = tmp_path / report.name
    arguments = [f"{small_run.made}", "--against", f"{small_run.real}", "-o", f"{again}"]
    assert run(["report", *arguments]) == 0
    assert again.read_bytes() == report.read_bytes()


def test_a_blinded_reading_is_added(small_run: SmallRun, tmp_path: Path) -> None:
    made, real = small_run.cohorts
    study = {"made": made.fingerprint, "real": real.fingerprint, "scans": 6, "seed": 0}
    answers = AnswerFile(tmp_path / "a.jsonl", study)
    for reader in ("reader-1", "reader-2"):
        for trial in range(6):
            answers.add(Answer(reader, trial, trial % 2 == 0, 2, 1.0))
    page = tmp_path / "report.html"
    arguments = [f"{small_run.made}", "--against", f"{small_run.real}", "-o", f"{page}"]
    assert run(["report", *arguments, "--readings", f"{answers.path}"]) == 0
    text = page.read_text(encoding="utf-8")
    assert "reader-1" in text
    assert "kappa 1.00" in text
    found = json.loads(page.with_suffix(".json").read_text())["readings"]
    assert found["kappa"]["value"] == 1.0


def test_figures_of_the_analysis_are_shown_and_kept_for_the_next_page(
    small_run: SmallRun, tmp_path: Path
) -> None:
    """Of so few people that no classifier can be trained, which the page must say."""
    made, real = small_run.cohorts
    found = analyse(made, real, Silent(), realism=False).record()
    earlier = tmp_path / "earlier.json"
    cohorts = {"made": made.fingerprint, "real": real.fingerprint}
    earlier.write_text(json.dumps({"cohorts": cohorts, "analysis": found}))
    page = tmp_path / "report.html"
    arguments = [f"{small_run.made}", "--against", f"{small_run.real}", "-o", f"{page}"]
    assert run(["report", *arguments, "--figures", f"{earlier}"]) == 0
    text = page.read_text(encoding="utf-8")
    assert "The source study saw" in text
    assert "trabecular density, neck" in text
    assert "Classifiers, distances and noise spectra of the two cohorts were not computed" in text
    record = json.loads(page.with_suffix(".json").read_text())
    assert record["analysis"] == found
    assert record["bone_band_peak"] == found["density"]["peak"]
    scans = found["density"]["samples"]
    own = {one["sample_id"]: one["bone_band_peaks_hu"] for one in record["real"] + record["made"]}
    assert {one["sample_id"]: one["peaks_hu"] for one in scans} == {
        name: [round(peak, 1) for peak in peaks] for name, peaks in own.items()
    }


def test_samples_are_ordered_by_how_easily_a_classifier_tells_them(
    small_run: SmallRun, chromium: Any, tmp_path: Path
) -> None:
    """The scores are planted, since no classifier can be trained on so few people."""
    made, real = small_run.cohorts
    found = analyse(made, real, Silent()).record()
    planted = (0.5, None, 3.0, 12.0, -0.5, -2.0)
    for one, score in zip(found["realism"]["samples"], planted, strict=True):
        assert one["made_score"] is None
        one["made_score"] = score
    earlier = tmp_path / "earlier.json"
    cohorts = {"made": made.fingerprint, "real": real.fingerprint}
    earlier.write_text(json.dumps({"cohorts": cohorts, "analysis": found}))
    path = tmp_path / "report.html"
    arguments = [f"{small_run.made}", "--against", f"{small_run.real}", "-o", f"{path}"]
    assert run(["report", *arguments, "--figures", f"{earlier}"]) == 0
    seen = look(chromium, path)
    seen.page.wait_for_selector("html[data-ready]")
    seen.page.select_option("#sort", label="easiest to tell from real first")
    order = [one.get_attribute("data-id") for one in seen.page.locator(".card").all()]
    assert order == [made.sample_ids[one] for one in (3, 2, 0, 4, 5, 1)]
    assert seen.troubles == []
    seen.page.close()


def test_without_a_classifier_no_order_by_it_is_offered(seen: Seen) -> None:
    assert seen.page.locator("#sort option[value='-look']").count() == 0
