"""``qctkit ingest``: scans on disk to a cohort file."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from qctkit.calibration import Calibration, one_material
from qctkit.contracts import FoundScan, Reader
from qctkit.errors import InputError, ScanError, TableError
from qctkit.phantoms.choice import CalibrationChoice, parse_choice
from qctkit.pipeline.ingest_scan import Entry, ScanOptions, samples_of
from qctkit.pipeline.parallel import in_processes
from qctkit.pipeline.pseudonyms import Pseudonyms
from qctkit.pipeline.versions import versions
from qctkit.progress import Progress
from qctkit.readers.choose import find_scans, load_one
from qctkit.readers.table import TableRow, read_subject_table
from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter
from qctkit.subject import ATTRIBUTES, Origin, Sex, Subject
from qctkit.units import Unit


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


@dataclass(frozen=True)
class _Taken:
    """How one scan came out: its samples and whose they are, or a refusal."""

    sample_ids: tuple[str, ...] = ()
    subject_id: str = ""
    sex: Sex | None = None
    scales: tuple[tuple[Unit, Calibration | None], ...] = ()
    said: tuple[str, ...] = ()
    refusal: str = ""


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
    entries = _entries(options, readers, progress)
    run = {"command": "ingest", "scans": len(entries), "versions": versions()}
    with (
        CohortWriter(
            output, run, overwrite=overwrite, keep_parts=True, resume=resume,
            inputs=_inputs(options),
        ) as writer,
        progress.task("reading scans", len(entries)) as task,
    ):  # fmt: skip
        taken = {
            number: _stored(writer.part(number))
            for number in range(len(entries))
            if writer.done(number)
        }
        jobs = [(number, one) for number, one in enumerate(entries) if number not in taken]
        take = partial(_take, writer=writer, options=options.scans)
        for (number, entry), outcome in in_processes(take, jobs, workers):
            taken[number] = outcome
            for sentence in outcome.said:
                progress.say(f"{entry.sample_id}: {sentence}")
            task.advance(entry.sample_id)
        refusals = tuple(one.refusal for _, one in sorted(taken.items()) if one.refusal)
        try:
            _check(taken, len(entries), refusals, options)
            scale = _scale(taken)
        except InputError:
            writer.discard()
            raise
    return Ingested(CohortFile(output), scale, refusals)


def _take(job: tuple[int, Entry], writer: CohortWriter, options: ScanOptions) -> _Taken:
    """Read one scan and store its samples; runs in a process of its own."""
    number, entry = job
    try:
        samples, said = samples_of(entry, options)
    except InputError as error:
        where = f"{entry.where}: " if entry.where else ""
        return _Taken(refusal=f"{where}{error}")
    writer.add(number, *samples)
    subject = samples[0].subject
    ids = tuple(sample.sample_id for sample in samples)
    scales = tuple((sample.volume.unit, sample.volume.calibration) for sample in samples)
    return _Taken(ids, subject.subject_id, subject.sex, scales, tuple(said))


def _stored(part: Path) -> _Taken:
    """Return how a scan came out that an interrupted run had finished."""
    cohort = CohortFile(part)
    subject = cohort.subject(cohort.sample_ids[0])
    units = [Unit(unit) for unit in cohort.table["unit"]]
    lines = [cohort.calibration(sample_id) for sample_id in cohort.sample_ids]
    scales = tuple(zip(units, lines, strict=True))
    return _Taken(cohort.sample_ids, subject.subject_id, subject.sex, scales)


def _scale(taken: Mapping[int, _Taken]) -> str:
    """Return the scale of the cohort in words.

    Raises:
        InputError: scans are calibrated to different materials, or voxels of different units.
    """
    scales = {
        sample_id: scale
        for _, one in sorted(taken.items())
        for sample_id, scale in zip(one.sample_ids, one.scales, strict=True)
    }
    return one_material(scales).in_words


def _check(
    taken: Mapping[int, _Taken], scans: int, refusals: Sequence[str], options: IngestOptions
) -> None:
    """Refuse the run where a scan was refused, or where two samples or patients are mixed up."""
    if refusals and not options.skip_refused:
        if scans == 1:
            raise ScanError(refusals[0])
        told = "".join(f"\n- {refusal}" for refusal in refusals)
        raise ScanError(
            f"{len(refusals)} of {scans} scans cannot be used:{told}\nMend or remove them, or give "
            "--skip-refused to go on without"
        )
    if len(refusals) == scans:
        raise ScanError("no scan can be used: " + "; ".join(refusals))
    ids = Counter(sample_id for one in taken.values() for sample_id in one.sample_ids)
    twice = [sample_id for sample_id, count in ids.items() if count > 1]
    if twice:
        raise InputError(
            f"two samples would be called {twice[0]}; name the subjects in a --table, with a "
            "'sample_id' where needed"
        )
    sexes: dict[str, set[Sex]] = {}
    for one in taken.values():
        if one.sex is not None:
            sexes.setdefault(one.subject_id, set()).add(one.sex)
    mixed = [subject_id for subject_id, stated in sexes.items() if len(stated) > 1]
    if mixed:
        raise InputError(
            f"scans of {mixed[0]} state both sexes, so that one patient id stands for several "
            "people here; name the subjects in a --table"
        )


def _entries(options: IngestOptions, readers: Sequence[Reader], progress: Progress) -> list[Entry]:
    if options.table is not None and options.sources:
        raise InputError("give scans by --table or as SOURCE, not both; the table has their paths")
    if options.table is not None:
        return _table_entries(options.table, options, readers)
    if not options.sources:
        raise InputError("nothing to ingest: give SOURCE paths or --table subjects.csv")
    found: list[FoundScan] = []
    with progress.task("finding scans", len(options.sources)) as task:
        for path in options.sources:
            found.extend(find_scans(path, readers))
            task.advance(f"{len(found)} found")
    return _source_entries(found, options)


def _source_entries(found: Sequence[FoundScan], options: IngestOptions) -> list[Entry]:
    """Return an entry for each scan; those of a subject with several are numbered."""
    pseudonyms = Pseudonyms(options.key)
    subjects = [pseudonyms.of(scan.patient) for scan in found]
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
                calibration=options.calibration,
            )
        )
    return entries


def _table_entries(table: Path, options: IngestOptions, readers: Sequence[Reader]) -> list[Entry]:
    rows = read_subject_table(table, keyed=options.key is not None)
    pseudonyms = Pseudonyms(options.key)
    return [_table_entry(table, row, pseudonyms, options, readers) for row in rows]


def _table_entry(
    table: Path,
    row: TableRow,
    pseudonyms: Pseudonyms,
    options: IngestOptions,
    readers: Sequence[Reader],
) -> Entry:
    subject_id = row.subject_id if pseudonyms.key is None else pseudonyms.of(row.subject_id)
    where = f"{table}, line {row.line} ({subject_id})"
    values = {name: getattr(row, name) for name in ATTRIBUTES}
    origins = {name: Origin.TABLE for name, value in values.items() if value is not None}
    try:
        stated = parse_choice(row.calibration, phantom=options.phantom)
        return Entry(
            load=partial(load_one, row.path, readers, row.series),
            subject=Subject(subject_id, **values, origins=origins),
            sample_id=row.sample_id or subject_id,
            place=str(row.path),
            where=where,
            mask=row.mask,
            mask_label=row.mask_label,
            calibration=stated.or_else(options.calibration),
            rods_mask=row.rods_mask,
        )
    except InputError as error:
        raise TableError(f"{where}: {error}") from error


def _inputs(options: IngestOptions) -> str:
    """Return a digest of what the user gave: a resumed run must have been given the same."""
    table = b"" if options.table is None else options.table.read_bytes()
    given = [repr(options), *(str(path.resolve()) for path in options.sources)]
    return hashlib.sha256("\n".join(given).encode() + table + (options.key or b"")).hexdigest()
