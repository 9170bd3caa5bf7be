"""A cohort as a folder of images, with tables and JSON files that make it whole again."""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from qctkit.cohort import Cohort, Record, Sample
from qctkit.errors import InputError, OutputExistsError
from qctkit.exporters.tables import (
    HasRefused,
    refused_columns,
    refused_row,
    sample_columns,
    sample_row,
    write_table,
)
from qctkit.geometry import Geometry
from qctkit.store.encode import encode
from qctkit.store.manifest import MANIFEST, Manifest, image_name, sidecar_name
from qctkit.store.sidecar import sidecar_text
from qctkit.subject import CORE, attributes_of
from qctkit.volume import Mask, Volume
from qctkit.window import DEFAULT_WINDOW, Window

SAMPLES_TABLE = "samples.csv"
REFUSED_TABLE = "refused.csv"


@dataclass(frozen=True)
class ImageFormat:
    """How one format writes images.

    Attributes:
        ending: of the file names, with its dot.
        write_volume: writes voxels exactly, with geometry and unit.
        write_mask: writes 0 and 1 on a grid.
    """

    ending: str
    write_volume: Callable[[Path, Volume], Path]
    write_mask: Callable[[Path, Mask, Geometry], Path]


@runtime_checkable
class HasRun(Protocol):
    """A cohort that says what made it and through which window it is seen."""

    @property
    def run(self) -> Record:
        """What made the cohort."""
        ...

    @property
    def window(self) -> Window:
        """The window stored with the cohort."""
        ...


def export_folder(
    cohort: Cohort, folder: Path, images: ImageFormat, *, overwrite: bool
) -> Sequence[Path]:
    """Write images, tables and JSON files of a cohort; return the files.

    For each sample ``<sample_id>`` with ``_mask`` and, where a recipe made it, ``_region``, and
    ``<sample_id>.json``; ``samples.csv``, ``refused.csv`` and ``cohort.json`` for all. Files are
    finished in a hidden folder first and then moved, so that an error leaves nothing behind.

    Raises:
        OutputExistsError: a file that would be written is there already.
        InputError: two sample ids lead to the same file name, but for upper and lower case.
    """
    _check_names(cohort, folder, images, overwrite=overwrite)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as staging:
        staged = list(_write(cohort, Path(staging), images))
        return [file.replace(folder / file.name) for file in staged]


def _check_names(cohort: Cohort, folder: Path, images: ImageFormat, *, overwrite: bool) -> None:
    tables = (SAMPLES_TABLE, REFUSED_TABLE, MANIFEST)
    names = [
        *(name for one in cohort.sample_ids for name in _names(one, images.ending)),
        *tables,
    ]
    # Windows and macOS take names that differ only in case for one file.
    count = Counter(name.casefold() for name in names)
    twice = [name for name in names if count[name.casefold()] > 1]
    if twice:
        same = sorted({name for name in twice if name.casefold() == twice[0].casefold()})
        raise InputError(
            f"two samples would be written to {' and '.join(same)}, one file where case does not "
            "count (Windows, macOS); rename one of them"
        )
    if folder.exists() and not folder.is_dir():
        raise OutputExistsError(f"{folder}: this is a file; give a folder to export to")
    if overwrite:
        return
    there = [name for name in names if (folder / name).exists()]
    if there:
        raise OutputExistsError(
            f"{folder / there[0]}: already there; give another folder, or --overwrite"
        )


def _names(sample_id: str, ending: str) -> tuple[str, ...]:
    kinds = ("volume", "mask", "region")
    return (*(image_name(sample_id, kind, ending) for kind in kinds), sidecar_name(sample_id))


def _write(cohort: Cohort, folder: Path, images: ImageFormat) -> Iterator[Path]:
    """Write all files and give their paths, one sample in memory at a time."""
    rows, checksums, subjects = [], [], []
    for sample in cohort:
        subjects.append(sample.subject)
        rows.append(sample_row(sample))
        stored = encode(sample)
        checksums.append(stored.checksum())
        yield from _write_images(sample, folder, images)
        yield _write_text(folder / sidecar_name(sample.sample_id), sidecar_text(stored))
    attributes = attributes_of(subjects)
    yield write_table(folder / SAMPLES_TABLE, sample_columns(attributes), rows)
    refused: Sequence[Record] = cohort.refused if isinstance(cohort, HasRefused) else ()
    if refused or any(row["recipe"] for row in rows):
        refused_rows = [refused_row(record) for record in refused]
        yield write_table(folder / REFUSED_TABLE, refused_columns(attributes), refused_rows)
    manifest = Manifest(
        ending=images.ending,
        sample_ids=cohort.sample_ids,
        checksums=tuple(checksums),
        run=cohort.run if isinstance(cohort, HasRun) else {},
        window=cohort.window if isinstance(cohort, HasRun) else DEFAULT_WINDOW,
        refused=tuple(refused),
        attributes=tuple(name for name in attributes if name not in CORE),
    )
    yield _write_text(folder / MANIFEST, manifest.text())


def _write_images(sample: Sample, folder: Path, images: ImageFormat) -> Iterator[Path]:
    def path(kind: str) -> Path:
        return folder / image_name(sample.sample_id, kind, images.ending)

    geometry = sample.volume.geometry
    yield images.write_volume(path("volume"), sample.volume)
    yield images.write_mask(path("mask"), sample.femur.voxels, geometry)
    if sample.synthesis is not None:
        yield images.write_mask(path("region"), sample.synthesis.region, geometry)


def _write_text(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="\n")
    return path
