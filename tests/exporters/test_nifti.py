import csv
import gzip
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest

from qctkit.cohort import MemoryCohort, Sample
from qctkit.errors import InputError, OutputExistsError
from qctkit.exporters.nifti import NiftiExporter
from qctkit.units import Unit

Make = Callable[..., Sample]


def export(folder: Path, *samples: Sample, overwrite: bool = False) -> list[str]:
    files = NiftiExporter().export(MemoryCohort(samples), folder, overwrite=overwrite)
    assert all(file.parent == folder and file.is_file() for file in files)
    return [file.name for file in files]


def cells(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_real_sample_gives_volume_mask_and_table(sample: Make, tmp_path: Path):
    names = export(tmp_path, sample())
    assert names == ["A.nii.gz", "A_mask.nii.gz", "A.json", "samples.csv", "cohort.json"]
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(names)


def test_made_sample_also_gives_its_region_and_the_refused(sample: Make, record, tmp_path: Path):
    names = export(tmp_path, sample(record=record))
    assert names[2:] == [
        "A_region.nii.gz",
        "A.json",
        "samples.csv",
        "refused.csv",
        "cohort.json",
    ]
    assert cells(tmp_path / "refused.csv") == []


def test_mask_and_region_are_uint8_on_the_same_grid(sample: Make, record, tmp_path: Path):
    made = sample(record=record)
    export(tmp_path, made)
    for name in ("A_mask.nii.gz", "A_region.nii.gz"):
        image = nibabel.load(tmp_path / name)
        assert image.get_data_dtype() == np.uint8
        assert np.array_equal(np.asarray(image.dataobj).T, made.femur.voxels)
        assert np.array_equal(image.affine, nibabel.load(tmp_path / "A.nii.gz").affine)


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_voxels_are_stored_as_they_are_held(sample: Make, tmp_path: Path, dtype):
    voxels = np.linspace(-1000, 1500.5, 24).reshape(2, 3, 4).astype(dtype)
    export(tmp_path, sample(voxels=voxels))
    image = nibabel.load(tmp_path / "A.nii.gz")
    assert image.get_data_dtype() == dtype
    assert np.array_equal(np.asarray(image.dataobj.get_unscaled()).T, voxels)
    header = nibabel.Nifti1Header(gzip.decompress((tmp_path / "A.nii.gz").read_bytes())[:348])
    assert (header["scl_slope"], header["scl_inter"]) == (1, 0)


@pytest.mark.parametrize("unit", list(Unit))
def test_header_states_unit_codes_and_mm(sample: Make, tmp_path: Path, unit: Unit):
    export(tmp_path, sample(unit=unit))
    header = nibabel.load(tmp_path / "A.nii.gz").header
    assert bytes(header["descrip"]).rstrip(b"\0").decode().endswith(f"unit: {unit}")
    assert (header["qform_code"], header["sform_code"]) == (1, 1)
    assert header.get_xyzt_units()[0] == "mm"
    assert header.get_zooms() == pytest.approx((0.5, 0.7, 2.5))


def test_bytes_are_the_same_each_time(sample: Make, record, tmp_path: Path):
    first, second = tmp_path / "first", tmp_path / "second"
    names = export(first, sample(record=record))
    export(second, sample(record=record))
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)


def test_samples_are_loaded_one_at_a_time(sample: Make, tmp_path: Path):
    assert len(export(tmp_path, sample("A"), sample("B"))) == 8
    assert [row["sample_id"] for row in cells(tmp_path / "samples.csv")] == ["A", "B"]


@pytest.mark.parametrize("name", ["A.nii.gz", "A_region.nii.gz", "samples.csv", "refused.csv"])
def test_existing_files_are_not_touched(sample: Make, tmp_path: Path, name: str):
    (tmp_path / name).write_text("precious")
    with pytest.raises(OutputExistsError, match=rf"{name}: already there.*--overwrite"):
        export(tmp_path, sample())
    assert [file.read_text() for file in tmp_path.iterdir()] == ["precious"]


def test_overwrite_replaces_them_and_leaves_others(sample: Make, tmp_path: Path):
    (tmp_path / "A.nii.gz").write_text("old")
    (tmp_path / "notes.txt").write_text("precious")
    export(tmp_path, sample(), overwrite=True)
    assert nibabel.load(tmp_path / "A.nii.gz").shape == (4, 3, 2)
    assert (tmp_path / "notes.txt").read_text() == "precious"


class Failing(MemoryCohort):
    """A cohort whose second sample cannot be loaded."""

    def __iter__(self) -> Iterator[Sample]:
        yield self.samples[0]
        raise InputError("damaged")


def test_an_error_leaves_nothing_behind(sample: Make, tmp_path: Path):
    (tmp_path / "A.nii.gz").write_text("old")
    cohort = Failing((sample("A"), sample("B")))
    with pytest.raises(InputError, match="damaged"):
        NiftiExporter().export(cohort, tmp_path, overwrite=True)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


def test_a_file_in_place_of_the_folder_is_refused(sample: Make, tmp_path: Path):
    (tmp_path / "out").touch()
    with pytest.raises(OutputExistsError, match="out: this is a file"):
        export(tmp_path / "out", sample(), overwrite=True)


def test_ids_that_lead_to_one_file_are_refused(sample: Make, tmp_path: Path):
    with pytest.raises(InputError, match=r"two samples would be written to A_mask\.nii\.gz"):
        export(tmp_path, sample("A"), sample("A_mask"))


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        (("A", "a"), r"A\.nii\.gz and a\.nii\.gz"),
        (("A", "a_mask"), r"A_mask\.nii\.gz and a_mask\.nii\.gz"),
        (("A", "Cohort"), r"Cohort\.json and cohort\.json"),
    ],
)
def test_ids_that_differ_in_case_only_are_refused(
    tmp_path: Path, make: Callable[..., Sample], ids: tuple[str, str], names: str
) -> None:
    with pytest.raises(InputError, match=f"written to {names}, one file where case"):
        NiftiExporter().export(
            MemoryCohort(tuple(map(make, ids))), tmp_path / "out", overwrite=False
        )
    assert not (tmp_path / "out").exists()
