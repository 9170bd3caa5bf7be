"""Attributes that the core does not know, in a cohort file: kept, with or without their plugin."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from torch.utils.data import default_collate

from qctkit.cohort import Sample
from qctkit.errors import CohortFileError
from qctkit.exporters.nifti import NiftiExporter
from qctkit.pipeline.verify import verify
from qctkit.progress import Silent
from qctkit.readers.exported import ExportedCohort
from qctkit.store.encode import encode
from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter
from qctkit.subject import ATTRIBUTES, Origin
from qctkit.training import CohortDataset


@pytest.fixture
def with_grip(make: Callable[..., Sample], grip: str) -> Sample:
    real = make("B")
    return replace(real, subject=real.subject.with_values({grip: 31.5}, Origin.TABLE))


@pytest.fixture
def cohort(tmp_path: Path, make: Callable[..., Sample], with_grip: Sample) -> CohortFile:
    """Two subjects, of whom one has the attribute."""
    path = tmp_path / "real.h5"
    with CohortWriter(path, {"command": "test"}) as writer:
        writer.add(0, make("A"))
        writer.add(1, with_grip)
    return CohortFile(path)


def test_a_value_comes_back_and_who_has_none_is_missing_it(cohort: CohortFile, grip: str) -> None:
    assert cohort.attributes == ("sex", "age_years", "weight_kg", grip)
    np.testing.assert_array_equal(cohort.table[grip], [np.nan, 31.5])
    for sample_id, value in (("A", None), ("B", 31.5)):
        assert cohort.subject(sample_id).value(grip) == value
        assert cohort.load(sample_id).subject.value(grip) == value
    assert cohort.subject("B").origin(grip) is Origin.TABLE
    assert verify(cohort, Silent()).good


def test_it_can_be_read_where_nothing_registers_the_attribute(
    cohort: CohortFile, grip: str
) -> None:
    defined = ATTRIBUTES.pop(grip)
    assert CohortFile(cohort.path).load("B").subject.value(grip) == 31.5
    assert ATTRIBUTES[grip] == defined


def test_a_worker_process_learns_it_with_the_file(cohort: CohortFile, grip: str) -> None:
    sent = pickle.dumps(cohort)
    del ATTRIBUTES[grip]
    assert pickle.loads(sent).load("B").subject.value(grip) == 31.5


def test_a_training_item_holds_it(cohort: CohortFile, grip: str) -> None:
    batch = default_collate([CohortDataset(cohort.path, ["B"])[0]])
    assert batch["others"][grip].tolist() == [31.5]


def test_a_file_with_none_is_as_it_always_was(tmp_path: Path, make: Callable[..., Sample]) -> None:
    with CohortWriter(tmp_path / "c.h5", {}) as writer:
        writer.add(0, make("A"))
    with h5py.File(tmp_path / "c.h5") as file:
        assert file.attrs["format_version"] == 1
        assert set(file) == {"run", "samples", "table"}


def test_verify_tells_a_version_that_is_not_that_of_the_attributes(cohort: CohortFile) -> None:
    with h5py.File(cohort.path, "r+") as file:
        file.attrs["format_version"] = 1
    (problem,) = verify(CohortFile(cohort.path), Silent()).checks[0].problems
    assert problem == "format_version is not 2, that of its attributes"


def test_a_definition_that_is_none_is_damage(cohort: CohortFile) -> None:
    with h5py.File(cohort.path, "r+") as file:
        del file["attributes"]
        file.create_dataset("attributes", data='[{"name":"x"}]')
    with pytest.raises(CohortFileError, match="is damaged"):
        CohortFile(cohort.path)


def test_a_value_that_the_table_alone_has_is_found(cohort: CohortFile, grip: str) -> None:
    with h5py.File(cohort.path, "r+") as file:
        file["table"][grip][0] = 50.0
    with pytest.raises(CohortFileError, match="disagree on grip_strength_kg"):
        CohortFile(cohort.path).load("A")


def test_exported_folders_hold_it_and_bring_it_back(
    cohort: CohortFile, grip: str, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    NiftiExporter().export(cohort, folder, overwrite=False)
    header, first, second = (folder / "samples.csv").read_text().splitlines()
    column = header.split(",").index(f"label_{grip}")
    assert [one.split(",")[column] for one in (first, second)] == ["", "31.5"]
    del ATTRIBUTES[grip]
    again = ExportedCohort(folder).load("B")
    assert encode(again).checksum() == encode(cohort.load("B")).checksum()
