"""A cohort as NIfTI files with tables beside them."""

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from qctkit.cohort import Cohort, Record, Sample
from qctkit.errors import InputError, OutputExistsError
from qctkit.exporters.nifti_file import write_mask, write_volume
from qctkit.exporters.tables import (
    REFUSED_COLUMNS,
    SAMPLE_COLUMNS,
    HasRefused,
    refused_row,
    sample_row,
    write_table,
)

SAMPLES_TABLE = "samples.csv"
REFUSED_TABLE = "refused.csv"
ENDINGS = (".nii.gz", "_mask.nii.gz", "_region.nii.gz")


class NiftiExporter:
    """Writes volumes, femur masks and regions as ``.nii.gz``, and two CSV tables."""

    name = "nifti"

    def export(self, cohort: Cohort, folder: Path, *, overwrite: bool) -> Sequence[Path]:
        """Write ``<sample_id>.nii.gz``, ``_mask``, ``_region`` and the tables; return the files.

        ``_region`` and ``refused.csv`` are written only for what a recipe made. Files are
        finished in a hidden folder first and then moved, so that an error leaves nothing behind.

        Raises:
            OutputExistsError: a file that would be written is there already.
            InputError: two sample ids lead to the same file name.
        """
        _check_names(cohort, folder, overwrite=overwrite)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as staging:
            staged = list(_write(cohort, Path(staging)))
            return [file.replace(folder / file.name) for file in staged]


def _check_names(cohort: Cohort, folder: Path, *, overwrite: bool) -> None:
    names = [sample_id + ending for sample_id in cohort.sample_ids for ending in ENDINGS]
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise InputError(f"two samples would be written to {twice[0]}; rename one of them")
    if folder.exists() and not folder.is_dir():
        raise OutputExistsError(f"{folder}: this is a file; give a folder to export to")
    if overwrite:
        return
    there = [name for name in (*names, SAMPLES_TABLE, REFUSED_TABLE) if (folder / name).exists()]
    if there:
        raise OutputExistsError(
            f"{folder / there[0]}: already there; give another folder, or --overwrite"
        )


def _write(cohort: Cohort, folder: Path) -> Iterator[Path]:
    """Write all files and give their paths, one sample in memory at a time."""
    rows = []
    for sample in cohort:
        rows.append(sample_row(sample))
        yield from _write_images(sample, folder)
    yield write_table(folder / SAMPLES_TABLE, SAMPLE_COLUMNS, rows)
    refused: Sequence[Record] = cohort.refused if isinstance(cohort, HasRefused) else ()
    if refused or any(row["recipe"] for row in rows):
        refused_rows = [refused_row(record) for record in refused]
        yield write_table(folder / REFUSED_TABLE, REFUSED_COLUMNS, refused_rows)


def _write_images(sample: Sample, folder: Path) -> Iterator[Path]:
    volume, mask, region = (folder / f"{sample.sample_id}{ending}" for ending in ENDINGS)
    geometry = sample.volume.geometry
    yield write_volume(volume, sample.volume)
    yield write_mask(mask, sample.femur.voxels, geometry)
    if sample.synthesis is not None:
        yield write_mask(region, sample.synthesis.region, geometry)
