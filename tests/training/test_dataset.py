import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from qctkit.errors import CohortFileError, InputError
from qctkit.geometry import Geometry
from qctkit.subject import Sex, Subject
from qctkit.training import CohortDataset, TrainingGrid
from qctkit.units import Unit
from qctkit.volume import Volume


def test_the_image_is_the_volume_in_the_cohorts_window(made, stored):
    cohort = stored("a.h5", [made("A")])
    image = CohortDataset(cohort.path)[0]["image"]
    expected = cohort.window.apply(cohort.load("A").volume.voxels)
    assert image.dtype == torch.float32
    assert image.shape == (1, *expected.shape)
    np.testing.assert_array_equal(image[0], expected)


def test_the_mask_lies_on_the_image(made, stored):
    cohort = stored("a.h5", [made("A")])
    item = CohortDataset(cohort.path)[0]
    assert item["mask"].shape == item["image"].shape
    np.testing.assert_array_equal(item["mask"][0], cohort.load("A").femur.voxels)


def test_labels_are_the_samples_own(made, stored):
    subject = Subject("A", Sex.M, 71.5, 80.0)
    item = CohortDataset(stored("a.h5", [made("A", subject)]).path)[0]
    assert (item["sex"], item["age_years"], item["weight_kg"]) == (1.0, 71.5, 80.0)


def test_a_missing_label_is_nan(made, stored):
    item = CohortDataset(stored("a.h5", [made("A", Subject("A", Sex.F))]).path)[0]
    assert item["sex"] == 0.0
    assert item["age_years"].isnan()
    assert item["weight_kg"].isnan()


def test_a_real_sample_is_its_own_source(made, stored):
    item = CohortDataset(stored("a.h5", [made("A-left", Subject("A"))]).path)[0]
    assert (item["source_subject_id"], item["is_synthetic"]) == ("A", False)


def test_a_made_sample_names_its_source_subject(made, stored):
    item = CohortDataset(stored("a.h5", [made("new", source="A")]).path)[0]
    assert (item["source_subject_id"], item["is_synthetic"]) == ("A", True)


def test_samples_come_in_the_order_asked_for(made, stored):
    cohort = stored("a.h5", [made("A"), made("B"), made("C")])
    dataset = CohortDataset(cohort.path, ["C", "A"])
    assert [dataset[i]["sample_id"] for i in range(len(dataset))] == ["C", "A"]


def test_an_unknown_sample_is_refused_at_once(made, stored):
    cohort = stored("a.h5", [made("A")])
    with pytest.raises(CohortFileError, match="no sample 'Z'"):
        CohortDataset(cohort.path, ["Z"])


def test_a_volume_in_density_units_is_refused(made, stored):
    grid = Geometry.from_spacing((4, 5, 6), (4.0, 4.0, 4.0))
    density = Volume(np.zeros(grid.shape, np.int16), grid, Unit.MG_CM3_HA)
    dataset = CohortDataset(stored("a.h5", [made("A", volume=density)]).path)
    with pytest.raises(InputError, match=r"sample A is in mg/cm3 HA.*window maps HU"):
        dataset[0]


@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes")
def test_two_worker_processes_give_what_one_gives(made, stored):
    cohort = stored("a.h5", [made(name) for name in "ABCD"])
    dataset = CohortDataset(cohort.path, grid=TrainingGrid((8, 8, 8), 4.0))
    alone = list(DataLoader(dataset, batch_size=2))
    shared = list(DataLoader(dataset, batch_size=2, num_workers=2))
    assert [batch["sample_id"] for batch in shared] == [["A", "B"], ["C", "D"]]
    assert shared[0]["image"].shape == (2, 1, 8, 8, 8)
    for one, other in zip(alone, shared, strict=True):
        torch.testing.assert_close(other["image"], one["image"], rtol=0, atol=0)
        torch.testing.assert_close(other["mask"], one["mask"], rtol=0, atol=0)
