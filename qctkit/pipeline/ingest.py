"""``qctkit ingest``: scans on disk to a cohort file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import numpy as np

from qctkit.calibration import Calibration
from qctkit.cohort import FemurMask, MaskOrigin, Sample, Side
from qctkit.contracts import Reader, Scan
from qctkit.errors import InputError, QctkitError, SegmentationError, TableError
from qctkit.pipeline.versions import versions
from qctkit.progress import Progress
from qctkit.readers.choose import read_scan
from qctkit.readers.nifti import read_mask
from qctkit.readers.table import TableRow, read_subject_table
from qctkit.segmentation import femur_side, segment_femora
from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter
from qctkit.subject import ATTRIBUTES, Origin, Subject
from qctkit.volume import Mask, Volume

CROP_MARGIN_MM = 20.0
"""Soft tissue kept around a femur that ``--side`` crops out."""


class SideChoice(StrEnum):
    """Which femora become samples when ``--side`` is given."""

    LEFT = "left"
    RIGHT = "right"
    BOTH = "both"


@dataclass(frozen=True)
class IngestOptions:
    """What to ingest and how.

    Attributes:
        sources: scans without a table; their subjects are called subject-001 and so on.
        table: table of subjects with the paths of their scans.
        side: crop these femora, each to its own sample; None crops nothing.
        calibration: line to mg/cm3 that holds for all scans.
    """

    sources: tuple[Path, ...] = ()
    table: Path | None = None
    side: SideChoice | None = None
    calibration: Calibration | None = None


@dataclass(frozen=True)
class _Entry:
    """A scan to read, whose it is, and what the user calls it in messages."""

    subject: Subject
    path: Path
    mask: Path | None
    where: str


def ingest(
    options: IngestOptions,
    output: Path,
    readers: Sequence[Reader],
    progress: Progress,
    *,
    overwrite: bool = False,
) -> CohortFile:
    """Write the cohort of all sources and return it; on an error nothing is left behind.

    Raises:
        InputError: a scan, table or mask cannot be used, or there is nothing to read.
    """
    entries = _entries(options)
    run = {"command": "ingest", "scans": len(entries), "versions": versions()}
    with (
        CohortWriter(output, run, overwrite=overwrite) as writer,
        progress.task("reading scans", len(entries)) as task,
    ):
        position = 0
        for entry in entries:
            for sample in _samples(entry, options, readers, progress):
                writer.add(position, sample)
                position += 1
            task.advance(entry.subject.subject_id)
    return CohortFile(output)


def _entries(options: IngestOptions) -> list[_Entry]:
    if options.table is not None and options.sources:
        raise InputError("give scans by --table or as SOURCE, not both; the table has their paths")
    if options.table is not None:
        rows = read_subject_table(options.table)
        return [_table_entry(options.table, row) for row in rows]
    if not options.sources:
        raise InputError("nothing to ingest: give SOURCE paths or --table subjects.csv")
    return [
        _Entry(Subject(f"subject-{number:03d}"), path, None, str(path))
        for number, path in enumerate(options.sources, start=1)
    ]


def _table_entry(table: Path, row: TableRow) -> _Entry:
    values = {name: getattr(row, name) for name in ATTRIBUTES}
    origins = {name: Origin.TABLE for name, value in values.items() if value is not None}
    where = f"{table}, line {row.line} ({row.subject_id})"
    try:
        return _Entry(Subject(row.subject_id, **values, origins=origins), row.path, row.mask, where)
    except InputError as error:
        raise TableError(f"{where}: {error}") from error


def _samples(
    entry: _Entry, options: IngestOptions, readers: Sequence[Reader], progress: Progress
) -> Iterator[Sample]:
    try:
        scan = read_scan(entry.path, readers)
        volume = replace(scan.volume, calibration=options.calibration or scan.volume.calibration)
        subject = _with_header(entry.subject, scan)
        femora = _femora(entry, volume, options.side)
    except QctkitError as error:
        if str(entry.path) in str(error) and entry.where == str(entry.path):
            raise
        raise type(error)(f"{entry.where}: {error}") from error
    if options.side is None and len(femora) > 1:
        progress.say(
            f"{subject.subject_id}: both femora are in view; the {femora[0].side} one is taken. "
            "Give --side left, right or both to choose"
        )
        femora = femora[:1]
    provenance = {"source": scan.description, "cropped": options.side is not None}
    for femur in femora:
        sample_id = subject.subject_id
        if options.side is SideChoice.BOTH:
            sample_id = f"{subject.subject_id}-{femur.side}"
        cropped_volume, cropped = volume, femur
        if options.side is not None:
            cropped_volume, cropped = _crop(volume, femur)
        yield Sample(sample_id, subject, cropped_volume, cropped, provenance)


def _with_header(subject: Subject, scan: Scan) -> Subject:
    """Fill what the table left open from the header."""
    from_header = {
        name: value
        for name in ATTRIBUTES
        if getattr(subject, name) is None and (value := getattr(scan, name)) is not None
    }
    origins = subject.origins | dict.fromkeys(from_header, Origin.HEADER)
    return replace(subject, **from_header, origins=origins)


def _femora(entry: _Entry, volume: Volume, side: SideChoice | None) -> list[FemurMask]:
    """Return the femora to use; the most complete one comes first."""
    found: tuple[FemurMask, ...]
    if entry.mask is not None:
        given = read_mask(entry.mask, volume.geometry)
        found = (FemurMask(given, femur_side(given, volume.geometry), MaskOrigin.GIVEN),)
    else:
        found = tuple(femur.mask for femur in segment_femora(volume).femora)
    if side is not None and side is not SideChoice.BOTH:
        found = tuple(one for one in found if one.side.value == side.value)
        if not found:
            raise SegmentationError(f"no {side} femur was found or given; try the other side")
    if side is SideChoice.BOTH and len(found) < 2:
        raise SegmentationError(
            f"--side both needs both femora, only the {found[0].side} one was found; "
            f"give --side {found[0].side}, or masks in the table"
        )
    return sorted(found, key=lambda one: -int(one.voxels.sum()))


def _crop(volume: Volume, femur: FemurMask) -> tuple[Volume, FemurMask]:
    margin = np.ceil(CROP_MARGIN_MM / np.asarray(volume.spacing_mm)).astype(int)
    corners = [(int(axis.min()), int(axis.max()) + 1) for axis in np.nonzero(femur.voxels)]
    box = tuple(
        slice(max(low - int(grow), 0), min(high + int(grow), size))
        for (low, high), grow, size in zip(corners, margin, femur.voxels.shape, strict=True)
    )
    mask: Mask = femur.voxels[box]
    voxels = volume.voxels[box]
    cropped = Volume(voxels, volume.geometry.crop(box), volume.unit, volume.calibration)
    return cropped, FemurMask(mask, Side(femur.side), femur.origin)
