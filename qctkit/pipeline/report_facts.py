"""What a report says of a made cohort and of the real one: every scan is looked at once."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from qctkit.analysis.bone_band import cohort_peak
from qctkit.calibration import one_material
from qctkit.cohort import REPLAYED, Record, Sample, Synthesis
from qctkit.contracts import Candidate
from qctkit.density import (
    DensityFigures,
    DensityReference,
    Limits,
    band_histogram,
    density_reference,
    measure_density,
)
from qctkit.errors import CohortFileError
from qctkit.pipeline.strain import strains
from qctkit.progress import Progress
from qctkit.report.facts import Array, MadeScan, MeasuredScan, ReportFacts
from qctkit.report.stack import box_around, stack_of, widest
from qctkit.report.thumbnail import thumbnail
from qctkit.store.reader import CohortFile
from qctkit.units import Unit
from qctkit.validators.noise_texture import NoiseChange, noise_change
from qctkit.window import DEFAULT_BONE_BAND


def gather(
    made: CohortFile,
    real: CohortFile,
    progress: Progress,
    analysis: Record | None = None,
    readings: Record | None = None,
) -> ReportFacts:
    """Return what there is to say, from one look at every scan, one pair in memory at a time."""
    scans: list[MeasuredScan] = []
    after: dict[str, MadeScan] = {}
    made_from = made.table["source_sample_id"].tolist()
    with progress.task("measuring scans", len(real) + len(made)) as task:
        for source in real:
            scans.append(_measured(source, source, real))
            task.advance(source.sample_id)
            for sample_id in (
                one
                for one, of in zip(made.sample_ids, made_from, strict=True)
                if of == source.sample_id
            ):
                after[sample_id] = _made(*loaded(made, sample_id), source, scans[-1], real)
                task.advance(sample_id)
    reference = _reference(scans)
    samples = [
        replace(after[one], spreads=_spreads(after[one].scan, reference)) for one in made.sample_ids
    ]
    units = [Unit(unit) for unit in real.table["unit"]]
    lines = {
        one: (unit, real.calibration(one)) for one, unit in zip(real.sample_ids, units, strict=True)
    }
    limits = DEFAULT_BONE_BAND.limits_hu(real.window)
    bins_hu, _ = band_histogram(np.zeros(0), limits)
    peaks = {
        "real": _peak(scans, scans, bins_hu, limits),
        "made": _peak(
            [one.scan for one in samples], [one.source for one in samples], bins_hu, limits
        ),
    }
    return ReportFacts(
        run=made.run,
        window=real.window,
        scale=one_material(lines),
        spreads=[_spreads(one, reference) for one in scans],
        bins_hu=bins_hu,
        peaks=peaks,
        real=scans,
        made=samples,
        refused=made.refused,
        made_path=made.path,
        real_path=real.path,
        made_fingerprint=made.fingerprint,
        analysis=analysis,
        readings=readings,
    )


def loaded(made: CohortFile, sample_id: str) -> tuple[Sample, Synthesis]:
    """Return a made sample, and how it was made.

    Raises:
        CohortFileError: it does not say so, or cannot be compared with its source.
    """
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
    sample: Sample, synthesis: Synthesis, source: Sample, before: MeasuredScan, real: CohortFile
) -> MadeScan:
    """Return what is measured of a sample beside its source, but for how usual its densities are.

    That is not known before all real scans were seen.
    """
    old, new = source.volume.voxels, sample.volume.voxels
    if old.shape != new.shape:
        raise CohortFileError(
            f"sample {sample.sample_id} has shape {new.shape}, its source {old.shape}"
        )
    inside = source.femur.voxels
    change = new[inside].astype(np.float64) - old[inside]
    scan = _measured(sample, source, real)
    noise = _noise(sample, synthesis, source)
    return MadeScan(
        scan=scan,
        source=before,
        record=synthesis.record,
        changed_outside=int(np.count_nonzero((old != new) & ~synthesis.region)),
        change_hu=float(np.abs(change).mean()),
        spreads={},
        noise=noise.ratios,
        noise_in_femur=noise.in_femur,
        strains=strains(synthesis.record),
    )


def _noise(sample: Sample, synthesis: Synthesis, source: Sample) -> NoiseChange:
    """Return what became of the noise, whatever the recipe's validators."""
    candidate = Candidate(
        source=source,
        volume=sample.volume,
        femur=sample.femur,
        region=synthesis.region,
        label=sample.subject,
        carried=(),
        readings=(),
    )
    return noise_change(candidate)


def _reference(scans: Sequence[MeasuredScan]) -> DensityReference:
    names = ("trabecular_hu", "cortical_hu", "bone_band_share")
    figures = [
        DensityFigures(
            **{name: one.figures[name] for name in names}, bone_band_peaks_hu=tuple(one.peaks_hu)
        )
        for one in scans
    ]
    return density_reference([one.subject for one in scans], figures)


def _peak(
    scans: Sequence[MeasuredScan], sources: Sequence[MeasuredScan], bins_hu: Array, limits: Limits
) -> Record:
    """Return the peak of a cohort's mean histogram; samples of one source are one person's."""
    people = np.array([one.subject.subject_id for one in sources])
    curves = np.stack([one.histogram for one in scans])
    return cohort_peak(bins_hu, curves, limits, people).record()


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
        peaks_hu=density.bone_band_peaks_hu,
        histogram=band_histogram(sample.volume.voxels[inside].astype(np.float64), limits)[1],
        thumbnail=thumbnail(stack_of(sample, box), widest(source, box)[1]),
        spacing_mm=sample.volume.spacing_mm,
    )
