"""``qctkit verify``: whether a cohort file is whole, consistent and leaks nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from qctkit import schema
from qctkit.cohort import REPLAYED, Record, Sample, Synthesis
from qctkit.errors import CohortFileError, InputError
from qctkit.geometry import Geometry
from qctkit.progress import Progress
from qctkit.store.encode import Encoded, decode
from qctkit.store.group import links_out, read_group
from qctkit.store.reader import DAMAGE, CohortFile
from qctkit.store.structure import file_problems, sample_problems
from qctkit.store.table import fingerprint, same_value, table_row
from qctkit.subject import attributes_of

SPACING_TOLERANCE_MM = 1e-6
"""Most by which the stated spacing may differ from the affine's: float64 rounding, with room."""

SOURCES_IN_MEMORY = 2
"""Samples made from one source mostly follow one another."""

STRUCTURE = "structure"
CHECKSUMS = "checksums"
IMAGES = "images"
GEOMETRY = "geometry"
TABLE = "table"
FINGERPRINT = "fingerprint"
SOURCES = "sources"
LABELS = "labels"
SUBJECTS = "subjects"


@dataclass
class Check:
    """One thing that was checked: all problems found, and in words what was looked at."""

    name: str
    words: str = ""
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


@dataclass(frozen=True)
class Verification:
    """The outcome of every check."""

    checks: tuple[Check, ...]

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return all(check.good for check in self.checks)

    def record(self) -> Record:
        """Return everything as JSON values; no path is among them."""
        return {
            "good": self.good,
            "checks": [
                {
                    "name": check.name,
                    "good": check.good,
                    "words": check.words,
                    "problems": list(check.problems),
                }
                for check in self.checks
            ],
        }


def verify(
    cohort: CohortFile,
    progress: Progress,
    *,
    against: Sequence[CohortFile] = (),
    disjoint_from: Sequence[CohortFile] = (),
) -> Verification:
    """Check a cohort file in full, one sample in memory at a time, and tell every problem.

    Args:
        cohort: the file to check.
        progress: where to report to.
        against: cohorts with the sources of made samples; every source must then be found.
        disjoint_from: files of other data splits: no subject may be in both.
    """
    work = _Work(cohort, tuple(against))
    with work.cohort.open() as file, progress.task("verifying", len(cohort)) as task:
        work.problems(STRUCTURE).extend(links_out(file))
        if work.check(STRUCTURE).good:  # nothing that reaches outside the file is followed
            work.problems(STRUCTURE).extend(file_problems(file))
            for sample_id in cohort.sample_ids:
                work.look_at(file, sample_id)
                task.advance(sample_id)
    work.finish(disjoint_from)
    return Verification(tuple(work.checks.values()))


class _Work:
    """The checks as they fill, and the cohorts in which sources are looked up."""

    def __init__(self, cohort: CohortFile, against: tuple[CohortFile, ...]) -> None:
        self.cohort = cohort
        self.against = against
        self.checks: dict[str, Check] = {}
        self.made = self.compared = self.resampled = self.looked_at = 0
        self.stated: list[str] = []
        for name in (
            STRUCTURE,
            CHECKSUMS,
            IMAGES,
            GEOMETRY,
            TABLE,
            FINGERPRINT,
            SOURCES,
            LABELS,
            SUBJECTS,
        ):
            self.checks[name] = Check(name)
        self.source = lru_cache(SOURCES_IN_MEMORY)(self._source)

    def check(self, name: str) -> Check:
        return self.checks[name]

    def problems(self, name: str) -> list[str]:
        return self.checks[name].problems

    def look_at(self, file: Any, sample_id: str) -> None:
        """Check one sample; what cannot be read is a problem of the structure."""
        try:
            group = file[schema.SAMPLES][sample_id]
            self.problems(STRUCTURE).extend(sample_problems(group, self.cohort.others))
            stored, stated = read_group(group)
            self.stated.append(stated)
            if stored.checksum() != stated:
                self.problems(CHECKSUMS).append(f"{sample_id}: its content is not what was written")
            self.problems(IMAGES).extend(_image_problems(sample_id, stored))
            self.problems(GEOMETRY).extend(_geometry_problems(sample_id, stored))
            sample = decode(stored)
        except (*DAMAGE, InputError) as error:
            self.problems(STRUCTURE).append(f"{sample_id} cannot be read: {error}")
            return
        self.looked_at += 1
        self.problems(STRUCTURE).extend(_scale_problems(sample, stored))
        self._look_at_row(sample, stored, stated)
        if sample.synthesis is not None:
            self._look_at_made(sample, sample.synthesis)

    def finish(self, disjoint_from: Sequence[CohortFile]) -> None:
        """Check what concerns the file as a whole, and say what was looked at."""
        if fingerprint(self.stated) != self.cohort.fingerprint:
            self.problems(FINGERPRINT).append("it is not that of these samples in this order")
        for number, other in enumerate(disjoint_from, start=1):
            which = "the other file" if len(disjoint_from) == 1 else f"other file {number}"
            self.problems(SUBJECTS).extend(
                f"{subject} is also in {which}"
                for subject in sorted(_subjects(self.cohort) & _subjects(other))
            )
        count = f"{self.looked_at} samples"
        for name in (STRUCTURE, CHECKSUMS, IMAGES, GEOMETRY, TABLE, FINGERPRINT):
            self.check(name).words = count
        self.check(SOURCES).words = self._sources_words()
        self.check(LABELS).words = f"{self.made} made samples"
        apart = f", compared with {len(disjoint_from)} other files" if disjoint_from else ""
        self.check(SUBJECTS).words = f"{len(_subjects(self.cohort))} subjects{apart}"

    def _sources_words(self) -> str:
        if not self.made:
            return "no made samples"
        words = f"{self.compared} of {self.made} made samples compared with their source"
        if self.resampled:
            words += f"; {self.resampled} replayed on another grid than their source's"
        left = self.made - self.compared - self.resampled
        return f"{words}; give --against for the others" if left else words

    def _look_at_row(self, sample: Sample, stored: Encoded, stated: str) -> None:
        try:
            row = self.cohort.row(sample.sample_id)
        except CohortFileError:
            self.problems(TABLE).append(f"{sample.sample_id}: its row cannot be read")
            return
        found = table_row(sample, stored, stated, self.cohort.others)
        differing = [name for name in found if not same_value(found[name], row[name])]
        if differing:
            self.problems(TABLE).append(
                f"{sample.sample_id}: the table says otherwise in {', '.join(differing)}"
            )

    def _look_at_made(self, sample: Sample, made: Synthesis) -> None:
        self.made += 1
        if sample.subject.subject_id != made.source_subject_id:
            self.problems(SUBJECTS).append(
                f"{sample.sample_id} is labelled {sample.subject.subject_id} and was made from "
                f"{made.source_subject_id}; a made sample belongs to its source's subject"
            )
        source = self.source(made.source_sample_id)
        if REPLAYED in made.record:
            self.resampled += 1
        elif source is not None:
            self.compared += 1
            self.problems(SOURCES).extend(_source_problems(sample, made, source))
        elif self.against:
            self.problems(SOURCES).append(
                f"{sample.sample_id}: its source {made.source_sample_id} is in none of the files "
                "given, or damaged there"
            )
        self.problems(LABELS).extend(_label_problems(sample, made, source))

    def _source(self, sample_id: str) -> Sample | None:
        for cohort in (self.cohort, *self.against):
            if sample_id in cohort.sample_ids:
                try:
                    return cohort.load(sample_id)
                except CohortFileError:
                    continue
        return None


def _image_problems(sample_id: str, stored: Encoded) -> Iterator[str]:
    volume = stored.images[schema.VOLUME]
    unusable = int((~np.isfinite(volume)).sum()) if volume.dtype.kind == "f" else 0
    if unusable:
        yield f"{sample_id}: {unusable} voxels are NaN or infinite"
    for name, voxels in stored.images.items():
        if voxels.shape != volume.shape:
            yield f"{sample_id}: the {name} has shape {voxels.shape}, the volume {volume.shape}"
        if name == schema.VOLUME:
            continue
        if voxels.size and voxels.max() > 1:
            yield f"{sample_id}: the {name} holds values other than 0 and 1"
        if not voxels.any():
            yield f"{sample_id}: the {name} is empty"


def _geometry_problems(sample_id: str, stored: Encoded) -> Iterator[str]:
    d, h, w = stored.images[schema.VOLUME].shape
    affine = np.asarray(stored.attributes["affine"])
    try:
        geometry = Geometry((d, h, w), affine)
    except InputError as error:
        yield f"{sample_id}: {error}"
        return
    if not np.array_equal(affine[3], [0, 0, 0, 1]):
        yield f"{sample_id}: the last row of the affine is not 0 0 0 1"
    stated = np.asarray(stored.attributes["spacing_mm"])
    if not np.allclose(stated, geometry.spacing_mm, rtol=0, atol=SPACING_TOLERANCE_MM):
        yield f"{sample_id}: spacing_mm is not the spacing of the affine"


def _scale_problems(sample: Sample, stored: Encoded) -> Iterator[str]:
    words = sample.volume.scale_in_words
    if stored.attributes["scale"] != words:
        yield f"{sample.sample_id}: scale is not what its unit and calibration say, {words}"


def _source_problems(sample: Sample, made: Synthesis, source: Sample) -> Iterator[str]:
    """Give how a made sample differs from its source where it must not."""
    where = f"{sample.sample_id}, made from {source.sample_id}"
    if source.subject.subject_id != made.source_subject_id:
        yield f"{where}: the source is not of subject {made.source_subject_id}"
    if sample.volume.unit is not source.volume.unit:
        yield f"{where}: the unit is another"
    grid, source_grid = sample.volume.geometry, source.volume.geometry
    if grid.shape != source_grid.shape or not np.array_equal(grid.affine, source_grid.affine):
        yield f"{where}: the grid is another"
        return
    changed = (sample.volume.voxels != source.volume.voxels) & ~made.region
    if changed.any():
        first = tuple(int(i) for i in np.argwhere(changed)[0])
        yield (
            f"{where}: {int(changed.sum())} voxels outside the region differ, the first at "
            f"(d, h, w) = {first}"
        )


def _label_problems(sample: Sample, made: Synthesis, source: Sample | None) -> Iterator[str]:
    """Give the labels that are neither a reached target nor the source's own value."""
    carried = made.record.get("carried", ())
    targets: Record = made.record.get("targets", {})
    recorded: Record = made.record.get("source_labels", {})
    for name in attributes_of([sample.subject, *([] if source is None else [source.subject])]):
        label = sample.subject.stated(name)
        if name in carried and targets.get(name) is not None:
            if label != targets[name]:
                yield f"{sample.sample_id}: {name} is not the target, though the recipe carries it"
        elif source is not None or name in recorded:
            own = source.subject.stated(name) if source is not None else recorded[name]
            if label != own:
                yield f"{sample.sample_id}: {name} is not the source's, nor a carried target"


def _subjects(cohort: CohortFile) -> set[str]:
    """Return everyone whose scan is in a file, or was the source of one."""
    table = cohort.table
    return {*table["subject_id"].tolist(), *table["source_subject_id"].tolist()}
