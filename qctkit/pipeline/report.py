"""``qctkit report``: a made cohort and the real one, as one page with its data beside it."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qctkit.cohort import Record
from qctkit.errors import InputError
from qctkit.pipeline.beside import beside_by_name
from qctkit.pipeline.earlier import earlier_analysis
from qctkit.pipeline.made_from import refuse_not_made_from
from qctkit.pipeline.read_study import study_result
from qctkit.pipeline.report_facts import gather, loaded
from qctkit.progress import Progress
from qctkit.report.choice import Chosen, choose
from qctkit.report.data import figure_rows, report_record, report_rows, write_rows
from qctkit.report.page import PagePair, report_page
from qctkit.report.stack import box_around, coded, coded_difference, stack_of, widest
from qctkit.report.verdicts import Judgement, five_verdicts
from qctkit.store.reader import CohortFile
from qctkit.store.writer import refuse_existing_output

SLICES_BYTES = 6_800_000
"""Of base64 that slices may take, which leaves the page under 10 MB with 200 thumbnails."""


@dataclass(frozen=True)
class Additions:
    """What a page may hold beyond what a look at every scan gives.

    Attributes:
        analyse: compute slopes, peaks and real-or-fake figures, which takes minutes.
        figures: the JSON of an earlier report that holds them.
        readings: answers of a blinded reading.
        beside: what other recipes made of the same cohort, whose real-or-fake figures are computed
            too where ``analyse`` is set.
    """

    analyse: bool = False
    figures: Path | None = None
    readings: Path | None = None
    beside: tuple[CohortFile, ...] = ()


NOTHING = Additions()


@dataclass(frozen=True)
class Report:
    """The files that were written, and the five verdicts.

    ``figures`` is the table of real-or-fake figures, None where they are not known.
    """

    page: Path
    rows: Path
    record: Path
    figures: Path | None
    verdicts: tuple[Judgement, ...]


def write_report(
    made: CohortFile,
    real: CohortFile,
    output: Path,
    progress: Progress,
    additions: Additions = NOTHING,
    *,
    overwrite: bool = False,
) -> Report:
    """Write the page about a made cohort, with its data as CSV and JSON beside it.

    Raises:
        CohortFileError: there are no made samples, or they were made from another cohort.
        InputError: figures or answers given are of other cohorts, or what stands beside the
            samples holds the very same.
        OutputExistsError: one of the files is there.
    """
    rows, record = output.with_suffix(".csv"), output.with_suffix(".json")
    table = output.with_suffix(".figures.csv")
    for path in (output, rows, record, table):
        refuse_existing_output(path, overwrite=overwrite)
        if path.exists() and any(
            path.samefile(one.path) for one in (made, real, *additions.beside)
        ):
            raise InputError(f"{path} is one of the cohorts, which would be lost; choose another")
    refuse_not_made_from(made, real)
    beside = beside_by_name(additions.beside, made, real)
    readings = study_result(made, real, additions.readings) if additions.readings else None
    analysis = _analysis(made, real, additions, beside, progress)
    facts = gather(made, real, progress, analysis, readings)
    pairs = _pairs(choose(facts.made), made, real, progress)
    figures = figure_rows(analysis)
    page = report_page(facts, pairs, (rows.name, record.name, table.name if figures else ""))
    text = json.dumps(report_record(facts), indent=1, sort_keys=True, allow_nan=False) + "\n"
    _write(record, text)
    _write(rows, write_rows(report_rows(facts)))
    table.unlink(missing_ok=True)  # an earlier report's, where this one has no such figures
    if figures:
        _write(table, write_rows(figures))
    _write(output, page)
    verdicts = tuple(five_verdicts(facts))
    return Report(output, rows, record, table if figures else None, verdicts)


def _analysis(
    made: CohortFile,
    real: CohortFile,
    additions: Additions,
    beside: Mapping[str, CohortFile],
    progress: Progress,
) -> Record | None:
    """Return slopes, peaks and real-or-fake figures, None where they are not asked for."""
    if additions.analyse:
        from qctkit.pipeline.analyse import analyse  # loads torch, seconds that few pages need

        return analyse(made, real, progress, beside=beside).record()
    return None if additions.figures is None else earlier_analysis(additions.figures, made, real)


def _pairs(
    chosen: Sequence[Chosen], made: CohortFile, real: CohortFile, progress: Progress
) -> list[PagePair]:
    """Return the chosen samples beside their sources, as fine as the page has room for."""
    first = _pair(chosen[0], made, real, 0.0)
    spacing_mm = _coarser(first, len(chosen) * first.size)
    while True:
        pairs = []
        with progress.task("packing slices", len(chosen)) as task:
            for one in chosen:
                pairs.append(_pair(one, made, real, spacing_mm))
                task.advance(one.sample_id)
        size = sum(one.size for one in pairs)
        if size <= SLICES_BYTES:
            return pairs
        spacing_mm = max(_coarser(one, size) for one in pairs)


def _coarser(pair: PagePair, size: int) -> float:
    """Return the spacing at which all slices fit, if they take so many bytes now; 0 leaves it.

    Bytes go with the inverse of two or three spacings, and fine noise packs worst.
    """
    if size <= SLICES_BYTES:
        return 0.0
    return 1.03 * min(pair.spacing_mm) * math.sqrt(size / SLICES_BYTES)


def _pair(chosen: Chosen, made: CohortFile, real: CohortFile, spacing_mm: float) -> PagePair:
    sample, synthesis = loaded(made, chosen.sample_id)
    source = real.load(synthesis.source_sample_id)
    box = box_around(source)
    whole = stack_of(source, box)
    before = whole.on(spacing_mm)
    s, a, r = (
        int((place + 0.5) * now / then)
        for place, now, then in zip(widest(source, box), before.shape, whole.shape, strict=True)
    )
    difference, step_hu = coded_difference(stack_of(sample, box).on(spacing_mm), before)
    return PagePair(
        chosen=chosen,
        shape=before.shape,
        spacing_mm=before.spacing_mm,
        cursor=(s, a, r),
        source=coded(before),
        difference=difference,
        step_hu=step_hu,
    )


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
