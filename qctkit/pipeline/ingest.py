"""``qctkit ingest``: scans on disk to a cohort file."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from qctkit.cohort import Sample
from qctkit.contracts import FoundScan, Reader
from qctkit.errors import InputError, ScanError, TableError
from qctkit.phantoms.choice import CalibrationChoice, parse_choice
from qctkit.phantoms.table import find_phantom
from qctkit.pipeline.ingest_checks import Taken, check_numbered, check_scans, cohort_scale
from qctkit.pipeline.ingest_scan import Entry, ScanOptions, samples_of
from qctkit.pipeline.pseudonyms import Pseudonyms
from qctkit.pipeline.versions import versions
from qctkit.processes import in_processes
from qctkit.progress import Progress
from qctkit.readers.choose import find_scans, load_one
from qctkit.readers.table import TableRow, read_subject_table
from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter
from qctkit.subject import Origin, Subject


@dataclass(frozen=True)
class IngestOptions:
    """What to ingest and how.

    Attributes:
        sources: scans without a table; scans of one patient are known by the DICOM headers.
        table: table of subjects with the paths of their scans.
        key: secret under which ids are hashed; without it a table's ids are pseudonyms already,
            and other subjects are numbered.
        calibration: how scans are calibrated for which the table says nothing.
        phantom: whose rods the table gives in rows that do not name it.
        scans: what is done with every scan.
        skip_refused: leave out scans that cannot be used, instead of refusing them all.
    """

    sources: tuple[Path, ...] = ()
    table: Path | None = None
    key: bytes | None = field(default=None, repr=False)
    calibration: CalibrationChoice = field(default_factory=CalibrationChoice)
    phantom: str | None = None
    scans: ScanOptions = field(default_factory=ScanOptions)
    skip_refused: bool = False


@dataclass(frozen=True)
class Ingested:
    """The cohort, its scale in words, and why scans were left out."""

    cohort: CohortFile
    scale: str
    refusals: tuple[str, ...]


def ingest(
    options: IngestOptions,
    output: Path,
    readers: Sequence[Reader],
    progress: Progress,
    *,
    workers: int = 1,
    overwrite: bool = False,
    resume: bool = False,
) -> Ingested:
    """Write the cohort of all sources; on a refusal nothing is left behind.

    Every scan is tried before the first is refused, so that all refusals are told at once. An
    interrupted run leaves its finished scans beside the output, for ``resume``.

    Raises:
        InputError: scans, a table or masks cannot be used, or there is nothing to read.
    """
    _check_options(options, output)
    entries = _entries(options, readers, progress)
    run = {"command": "ingest", "scans": len(entries), "versions": versions()}
    with (
        CohortWriter(
            output, run, overwrite=overwrite, keep_parts=True, resume=resume,
            inputs=_inputs(options, entries),
        ) as writer,
        progress.task("reading scans", len(entries)) as task,
    ):  # fmt: skip
        taken = {
            number: _stored(writer.part(number), is_whole=entry.is_whole)
            for number, entry in enumerate(entries)
            if writer.done(number)
        }
        jobs = [(number, one) for number, one in enumerate(entries) if number not in taken]
        take = partial(_take, writer=writer, options=options.scans)
        for (number, entry), outcome in in_processes(take, jobs, workers):
            taken[number] = outcome
            for sentence in outcome.said:
                progress.say(f"{entry.sample_id}: {sentence}")
            task.advance(entry.sample_id)
        in_order = [taken[number] for number in range(len(entries))]
        try:
            check_scans(in_order, options.scans, skip_refused=options.skip_refused)
            scale = cohort_scale(in_order)
        except InputError:
            writer.discard()
            raise
    refusals = tuple(one.refusal for one in in_order if one.refusal)
    return Ingested(CohortFile(output), scale, refusals)


def _take(job: tuple[int, Entry], writer: CohortWriter, options: ScanOptions) -> Taken:
    """Read one scan and store its samples; runs in a process of its own."""
    number, entry = job
    where = f"{entry.where}: " if entry.where else ""
    try:
        samples, said = samples_of(entry, options)
    except InputError as error:
        return Taken(refusal=f"{where}{error}")
    except MemoryError:
        return Taken(refusal=f"{where}{entry.place}: needs more memory than there is")
    writer.add(number, *samples)
    return replace(_outcome(samples, is_whole=entry.is_whole), said=tuple(said))


def _stored(part: Path, *, is_whole: bool) -> Taken:
    """Return how a scan came out that an interrupted run had finished."""
    return _outcome(list(CohortFile(part)), is_whole=is_whole)


def _outcome(samples: Sequence[Sample], *, is_whole: bool) -> Taken:
    first = samples[0]
    return Taken(
        sample_ids=tuple(one.sample_id for one in samples),
        scales=tuple((one.volume.unit, one.volume.calibration) for one in samples),
        subject_id=first.subject.subject_id,
        sex=first.subject.sex,
        is_whole=is_whole,
        voxels_sha256=str(first.provenance.get("source_voxels_sha256", "")),
    )


def _check_options(options: IngestOptions, output: Path) -> None:
    """Refuse options that would do nothing, and an output among the scans.

    Raises:
        InputError: which, and what to do.
    """
    if options.phantom is not None:
        find_phantom(options.phantom)
        if options.table is None:
            raise InputError("--phantom is for the rods that a --table gives; give one")
    if options.scans.k2hpo4_over_ha is not None and options.scans.convert_to is None:
        raise InputError("--k2hpo4-over-ha is for --convert-material; give that too")
    for source in options.sources:
        if source.is_dir() and output.resolve().is_relative_to(source.resolve()):
            raise InputError(
                f"-o {output} lies in the SOURCE folder {source}, where it would be taken for a "
                "scan; choose another place"
            )


def _entries(options: IngestOptions, readers: Sequence[Reader], progress: Progress) -> list[Entry]:
    if options.table is not None and options.sources:
        raise InputError("give scans by --table or as SOURCE, not both; the table has their paths")
    if options.table is not None:
        return _table_entries(options.table, options, readers)
    if not options.sources:
        raise InputError("nothing to ingest: give SOURCE paths or --table subjects.csv")
    found: list[tuple[FoundScan, ...]] = []
    with progress.task("finding scans", len(options.sources)) as task:
        for path in options.sources:
            found.append(find_scans(path, readers))
            task.advance(f"{len(found[-1])} found")
    own_ids = [[scan.subject_id for scan in scans if scan.subject_id] for scans in found]
    check_numbered(dict(enumerate(own_ids)))
    return _source_entries([scan for scans in found for scan in scans], options)


def _source_entries(found: Sequence[FoundScan], options: IngestOptions) -> list[Entry]:
    """Return an entry for each scan; those of a subject with several are numbered."""
    known = frozenset(scan.subject_id for scan in found)
    pseudonyms = Pseudonyms(options.key, known)
    subjects = []
    for scan in found:
        try:
            subjects.append(scan.subject_id or pseudonyms.of(scan.patient))
        except InputError as error:
            raise ScanError(f"{scan.place}: {error}") from error
    several = Counter(subjects)
    number: Counter[str] = Counter()
    entries = []
    for scan, subject_id in zip(found, subjects, strict=True):
        number[subject_id] += 1
        one_of_several = several[subject_id] > 1
        sample_id = f"{subject_id}-{number[subject_id]}" if one_of_several else subject_id
        entries.append(
            Entry(
                load=scan.load,
                subject=Subject(subject_id),
                sample_id=sample_id,
                place=scan.place,
                is_whole=bool(scan.subject_id),
                calibration=options.calibration,
            )
        )
    return entries


def _table_entries(table: Path, options: IngestOptions, readers: Sequence[Reader]) -> list[Entry]:
    rows = read_subject_table(table, keyed=options.key is not None)
    pseudonyms = Pseudonyms(options.key)
    entries = [_table_entry(table, row, pseudonyms, options, readers) for row in rows]
    if options.phantom is not None and not any(one.calibration.phantom for one in entries):
        raise TableError(f"{table}: --phantom is given, but no row has 'rods_hu' or 'rods_mask'")
    return entries


def _table_entry(
    table: Path,
    row: TableRow,
    pseudonyms: Pseudonyms,
    options: IngestOptions,
    readers: Sequence[Reader],
) -> Entry:
    subject_id = row.subject_id if pseudonyms.key is None else pseudonyms.of(row.subject_id)
    where = f"{table}, line {row.line} ({subject_id})"
    try:
        stated = parse_choice(row.calibration, phantom=options.phantom)
        return Entry(
            load=partial(load_one, row.path, readers, row.series),
            subject=_as_in_table(subject_id, row),
            sample_id=row.sample_id or subject_id,
            path=row.path,
            place=str(row.path),
            where=where,
            mask=row.mask,
            mask_label=row.mask_label,
            calibration=stated.or_else(options.calibration),
            rods_mask=row.rods_mask,
        )
    except InputError as error:
        raise TableError(f"{where}: {error}") from error


def _as_in_table(subject_id: str, row: TableRow) -> Subject:
    stated = Subject(subject_id, row.sex, row.age_years, row.weight_kg, others=row.others)
    known = [name for name in stated.attributes if stated.value(name) is not None]
    return replace(stated, origins=dict.fromkeys(known, Origin.TABLE))


def _inputs(options: IngestOptions, entries: Sequence[Entry]) -> str:
    """Return a digest of what the user gave: a resumed run must have been given the same."""
    digest = hashlib.sha256(repr(options).encode() + (options.key or b""))
    given = [(entry.path, entry.mask, entry.rods_mask) for entry in entries]
    paths = {path for row in (options.sources, *given) for path in row if path is not None}
    if options.table is not None:
        digest.update(options.table.read_bytes())
    for path in sorted(paths):
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            known = file.stat()
            digest.update(f"{file.resolve()} {known.st_size} {known.st_mtime_ns}\n".encode())
    return digest.hexdigest()
