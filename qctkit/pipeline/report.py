"""``qctkit report``: a made cohort and the real one, as one page with its data beside it."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qctkit.calibration import one_material
from qctkit.cohort import REPLAYED, Record, Sample, Synthesis
from qctkit.contracts import Candidate
from qctkit.density import (
    DensityFigures,
    DensityReference,
    bone_histogram,
    density_reference,
    measure_density,
)
from qctkit.errors import CohortFileError, InputError
from qctkit.pipeline.analyse import analyse
from qctkit.pipeline.earlier import earlier_analysis
from qctkit.pipeline.made_from import refuse_not_made_from
from qctkit.pipeline.read_study import study_result
from qctkit.pipeline.strain import strains
from qctkit.progress import Progress
from qctkit.report.choice import Chosen, choose
from qctkit.report.data import report_record, report_rows, write_rows
from qctkit.report.facts import MadeScan, MeasuredScan, ReportFacts
from qctkit.report.page import PagePair, report_page
from qctkit.report.stack import box_around, coded, coded_difference, stack_of, widest
from qctkit.report.thumbnail import thumbnail
from qctkit.report.verdicts import Judgement, five_verdicts
from qctkit.store.reader import CohortFile
from qctkit.store.writer import refuse_existing_output
from qctkit.units import Unit
from qctkit.validators.noise_texture import BANDS, NoiseTexture
from qctkit.window import DEFAULT_BONE_BAND

SLICES_BYTES = 6_800_000
"""Of base64 that slices may take, which leaves the page under 10 MB with 200 thumbnails."""


@dataclass(frozen=True)
class Additions:
    """What a page may hold beyond what a look at every scan gives.

    Attributes:
        analyse: compute slopes, peaks and real-or-fake figures, which takes minutes.
        figures: the JSON of an earlier report that holds them.
        readings: answers of a blinded reading.
    """

    analyse: bool = False
    figures: Path | None = None
    readings: Path | None = None


NOTHING = Additions()


@dataclass(frozen=True)
class Report:
    """The files that were written, and the five verdicts."""

    page: Path
    rows: Path
    record: Path
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
        InputError: figures or answers given are of other cohorts.
        OutputExistsError: one of the three files is there.
    """
    rows, record = output.with_suffix(".csv"), output.with_suffix(".json")
    for path in (output, rows, record):
        refuse_existing_output(path, overwrite=overwrite)
        if path.exists() and any(path.samefile(one.path) for one in (made, real)):
            raise InputError(f"{path} is one of the cohorts, which would be lost; choose another")
    refuse_not_made_from(made, real)
    readings = study_result(made, real, additions.readings) if additions.readings else None
    facts = gather(made, real, progress, _analysis(made, real, additions, progress), readings)
    pairs = _pairs(choose(facts.made), made, real, progress)
    page = report_page(facts, pairs, (rows.name, record.name))
    figures = report_record(facts)
    _write(record, json.dumps(figures, indent=1, sort_keys=True, allow_nan=False) + "\n")
    _write(rows, write_rows(report_rows(facts)))
    _write(output, page)
    return Report(output, rows, record, tuple(five_verdicts(facts)))


def _analysis(
    made: CohortFile, real: CohortFile, additions: Additions, progress: Progress
) -> Record | None:
    """Return slopes, peaks and real-or-fake figures, None where they are not asked for."""
    if additions.analyse:
        return analyse(made, real, progress).record()
    return None if additions.figures is None else earlier_analysis(additions.figures, made, real)


def gather(
    made: CohortFile,
    real: CohortFile,
    progress: Progress,
    analysis: Record | None = None,
    readings: Record | None = None,
) -> ReportFacts:
    """Return what there is to say, from one look at every scan, one pair in memory at a time."""
    before: dict[str, MeasuredScan] = {}
    after: dict[str, MadeScan] = {}
    with progress.task("measuring scans", len(real) + len(made)) as task:
        for source in real:
            before[source.sample_id] = _measured(source, source, real)
            task.advance(source.sample_id)
        reference = _reference(list(before.values()))
        for source, samples in _by_source(made, real):
            for sample, synthesis in samples:
                seen = before[source.sample_id]
                after[sample.sample_id] = _made(sample, synthesis, source, seen, real, reference)
                task.advance(sample.sample_id)
    units = [Unit(unit) for unit in real.table["unit"]]
    lines = {
        one: (unit, real.calibration(one)) for one, unit in zip(real.sample_ids, units, strict=True)
    }
    return ReportFacts(
        run=made.run,
        window=real.window,
        scale=one_material(lines),
        spreads=[_spreads(one, reference) for one in before.values()],
        bins_hu=bone_histogram(np.zeros(1), DEFAULT_BONE_BAND.limits_hu(real.window))[0],
        real=list(before.values()),
        made=[after[one] for one in made.sample_ids],
        refused=made.refused,
        made_path=made.path,
        real_path=real.path,
        made_fingerprint=made.fingerprint,
        analysis=analysis,
        readings=readings,
    )


def _by_source(
    made: CohortFile, real: CohortFile
) -> Iterator[tuple[Sample, Iterator[tuple[Sample, Synthesis]]]]:
    """Give each source with the samples made from it, so that it is loaded once for all."""
    sources = made.table["source_sample_id"].tolist()
    for source_id in real.sample_ids:
        rows = [one for one, of in zip(made.sample_ids, sources, strict=True) if of == source_id]
        if rows:
            yield real.load(source_id), (_loaded(made, one) for one in rows)


def _loaded(made: CohortFile, sample_id: str) -> tuple[Sample, Synthesis]:
    sample = made.load(sample_id)
    if sample.synthesis is None:
        raise CohortFileError(f"sample {sample_id} does not say what it was made from")
    if REPLAYED in sample.synthesis.record:
        raise CohortFileError(
            f"sample {sample_id} was replayed on another grid than its source's, with which it "
            "cannot be compared; give the file that it was replayed from"
        )
    return sample, sample.synthesis


def _made(
    sample: Sample,
    synthesis: Synthesis,
    source: Sample,
    before: MeasuredScan,
    real: CohortFile,
    reference: DensityReference,
) -> MadeScan:
    old, new = source.volume.voxels, sample.volume.voxels
    if old.shape != new.shape:
        raise CohortFileError(
            f"sample {sample.sample_id} has shape {new.shape}, its source {old.shape}"
        )
    inside = source.femur.voxels
    change = new[inside].astype(np.float64) - old[inside]
    scan = _measured(sample, source, real)
    return MadeScan(
        scan=scan,
        source=before,
        record=synthesis.record,
        changed_outside=int(np.count_nonzero((old != new) & ~synthesis.region)),
        change_hu=float(np.abs(change).mean()),
        spreads=_spreads(scan, reference),
        noise=_noise(sample, synthesis, source, reference),
        strains=strains(synthesis.record),
    )


def _noise(
    sample: Sample, synthesis: Synthesis, source: Sample, reference: DensityReference
) -> dict[str, float]:
    """Return the noise's power over the source's by grain, whatever the recipe's validators."""
    candidate = Candidate(
        source=source,
        volume=sample.volume,
        femur=sample.femur,
        region=synthesis.region,
        label=sample.subject,
        carried=(),
        readings=(),
    )
    figures = NoiseTexture().judge(candidate, reference).figures
    ratios = {name: figures.get(f"{name}_power_ratio") for name in BANDS}
    return {name: ratio for name, ratio in ratios.items() if ratio is not None}


def _reference(scans: Sequence[MeasuredScan]) -> DensityReference:
    names = ("trabecular_hu", "cortical_hu", "bone_band_share")
    figures = [
        DensityFigures(**{name: one.figures[name] for name in names}, bone_band_peak_hu=None)
        for one in scans
    ]
    return density_reference([one.subject for one in scans], figures)


def _spreads(scan: MeasuredScan, reference: DensityReference) -> dict[str, float]:
    """Return how many spreads a scan's densities lie from the line of real subjects."""
    lines = {"trabecular_hu": reference.trabecular_hu, "cortical_hu": reference.cortical_hu}
    return {
        name: abs(scan.figures[name] - line.predict(scan.subject)) / max(line.residual_sd, 1e-9)
        for name, line in lines.items()
    }


def _measured(sample: Sample, source: Sample, real: CohortFile) -> MeasuredScan:
    """Return what is measured of a scan, shown in the same slice as its source."""
    density = measure_density(sample.volume, sample.femur, real.window)
    inside = sample.femur.voxels
    limits = DEFAULT_BONE_BAND.limits_hu(real.window)
    peak = density.bone_band_peak_hu
    box = box_around(source)
    return MeasuredScan(
        sample_id=sample.sample_id,
        subject=sample.subject,
        figures={
            "trabecular_hu": density.trabecular_hu,
            "cortical_hu": density.cortical_hu,
            "bone_band_share": density.bone_band_share,
            "bone_band_peak_hu": float("nan") if peak is None else peak,
            "femur_ml": float(inside.sum()) * sample.volume.geometry.voxel_volume_mm3 / 1000.0,
        },
        histogram=bone_histogram(sample.volume.voxels[inside].astype(np.float64), limits)[1],
        thumbnail=thumbnail(stack_of(sample, box), widest(source, box)[1]),
        spacing_mm=sample.volume.spacing_mm,
    )


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
    sample, synthesis = _loaded(made, chosen.sample_id)
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
