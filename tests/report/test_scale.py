"""Titles and axis labels say what HU mean."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from qctkit.calibration import Calibration
from qctkit.cohort import Sample
from qctkit.progress import Silent
from qctkit.report.pictures import comparison, mask_overview
from qctkit.report.summary import write_summary
from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter
from qctkit.units import Material
from qctkit.window import DEFAULT_WINDOW

ROUGH = Calibration(0.8, -9.0, Material.HA, "air, fat and muscle", is_approximate=True)
LINES = [None, Calibration(0.8, 8.0, Material.K2HPO4), ROUGH]
LABELS = ["HU (uncalibrated)", "HU (calibrated)", "HU (approximately calibrated)"]


def with_line(sample: Sample, line: Calibration | None) -> Sample:
    return replace(sample, volume=replace(sample.volume, calibration=line))


@pytest.mark.parametrize(("line", "label"), list(zip(LINES, LABELS, strict=True)), ids=LABELS)
def test_a_comparison_says_it_on_every_scale(
    sample: Sample, line: Calibration | None, label: str
) -> None:
    shown = with_line(sample, line)
    figure = comparison(shown, shown, DEFAULT_WINDOW)
    bars = [axes for axes in figure.axes if axes.get_label() == "<colorbar>"]
    assert len(bars) == 6
    assert all(axes.get_ylabel() == label for axes in bars)
    assert figure.axes[-1].get_xlabel().startswith(label)
    assert figure.get_suptitle() == shown.volume.scale_in_words


def test_densities_stand_along_a_calibrated_histogram_only(sample: Sample) -> None:
    for line, along_top in ((None, []), (ROUGH, ["approximate mg/cm3 HA"])):
        shown = with_line(sample, line)
        histogram = comparison(shown, shown, DEFAULT_WINDOW).axes[-1]
        assert [one.get_xlabel() for one in histogram.child_axes] == along_top


def test_masks_are_shown_with_the_scale_of_their_scan(sample: Sample) -> None:
    figure = mask_overview([sample, with_line(sample, ROUGH)])
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert [title.splitlines()[-1] for title in titles] == [LABELS[0], LABELS[2]]


@pytest.mark.parametrize(
    ("lines", "title"),
    [
        ((None, None), "HU (uncalibrated)"),
        ((LINES[1], None), "only 1 of 2 scans"),
        ((ROUGH, ROUGH), "HU (approximately calibrated to mg/cm3 HA)"),
    ],
)
def test_the_summary_says_it_in_its_title(
    tmp_path: Path,
    make: Callable[..., Sample],
    lines: tuple[Calibration | None, Calibration | None],
    title: str,
) -> None:
    run = {"recipe": "r", "account": "a", "samples_wanted": 0, "carrying": [], "seed": 0,
           "versions": {}, "cohort_fingerprint": "f"}  # fmt: skip
    with CohortWriter(tmp_path / "real.h5", run) as writer:
        for position, (name, line) in enumerate(zip("AB", lines, strict=True)):
            writer.add(position, with_line(make(name), line))
    with CohortWriter(tmp_path / "made.h5", run):
        pass
    cohorts = [CohortFile(tmp_path / name) for name in ("made.h5", "real.h5")]
    page = write_summary(*cohorts, tmp_path / "page.html", Silent()).read_text(encoding="utf-8")
    heading = page[page.index("<h1>") : page.index("</h1>")]
    assert title in page[page.index("<title>") : page.index("</title>")]
    assert title in heading
