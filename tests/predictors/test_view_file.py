"""Views in a file are as good as views in memory, and more of them fit."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from qctkit.contracts import TrainingData
from qctkit.networks import Schedule
from qctkit.predictors.network import NetworkFamily, network_families, shown_slices
from qctkit.predictors.view_file import ViewFile
from qctkit.view import View, ViewImage

VIEW = View((12, 10, 8), (9.0, 8.0, 7.0))
SUBJECTS = 5
FAMILIES = {one.name: one for one in network_families()}


@pytest.fixture
def images() -> Tensor:
    """Views whose values float16 holds exactly."""
    generator = torch.Generator().manual_seed(0)
    hu = torch.randint(-1000, 2000, (SUBJECTS, *VIEW.shape), generator=generator).float()
    femur = torch.randint(0, 9, (SUBJECTS, *VIEW.shape), generator=generator) / 8.0
    return torch.stack([hu, femur], dim=1)


@pytest.fixture
def file(images: Tensor, tmp_path: Path) -> ViewFile:
    file = ViewFile(tmp_path / "views.f16", VIEW.shape)
    for hu, femur in images.numpy():
        file.append(ViewImage(hu, femur))
    return file


def _data(images: Tensor | ViewFile) -> TrainingData:
    values = {"age_years": torch.tensor([50.0, 60.0, 70.0, 55.0, 65.0])}
    return TrainingData(images, values, VIEW)


@pytest.mark.parametrize(
    "key",
    [
        slice(None),
        slice(1, 3),
        3,
        [4, 0],
        torch.tensor([2]),
        np.array([1, 1]),
        (slice(0, 2), 1),
        (np.array([0, 4, 4]), slice(None), np.array([11, 0, 3])),
    ],
    ids=str,
)
def test_a_file_gives_what_a_tensor_gives(file: ViewFile, images: Tensor, key: object) -> None:
    assert len(file) == len(images)
    assert torch.equal(file[key], images[key])


def test_a_file_goes_to_a_worker_by_its_name(file: ViewFile, images: Tensor) -> None:
    sent = pickle.dumps(file)
    assert len(sent) < 1000
    assert torch.equal(pickle.loads(sent)[:], images)


@pytest.mark.usefixtures("file")
def test_a_new_file_holds_nothing_of_the_last(tmp_path: Path) -> None:
    again = ViewFile(tmp_path / "views.f16", VIEW.shape)
    again.append(ViewImage(np.full(VIEW.shape, 7.0, np.float32), np.ones(VIEW.shape, np.float32)))
    assert len(again) == 1
    assert (again[0][0] == 7.0).all()


def test_rounding_is_half_a_hu_in_bone_and_metal_stays_finite(tmp_path: Path) -> None:
    hu = np.linspace(-1000.0, 2000.0, np.prod(VIEW.shape)).reshape(VIEW.shape).astype(np.float32)
    hu[0, 0, 0] = 99_999.0
    femur = np.linspace(0.0, 1.0, hu.size).reshape(VIEW.shape).astype(np.float32)
    file = ViewFile(tmp_path / "views.f16", VIEW.shape)
    file.append(ViewImage(hu, femur))
    found = file[0].numpy()
    assert np.abs(found[0] - hu).flat[1:].max() <= 0.5
    assert np.abs(found[1] - femur).max() <= 0.0003
    assert np.isfinite(found).all()


def test_some_of_some_are_the_right_ones_in_their_order(file: ViewFile, images: Tensor) -> None:
    taken = _data(file).take([4, 2, 0]).take([2, 1])
    assert torch.equal(taken.images[:], images[[0, 2]])
    assert torch.equal(taken.images[torch.tensor([1])], images[[2]])
    assert taken.values["age_years"].tolist() == [50.0, 70.0]
    assert [one.shape for one in taken.singly()] == [(1, 2, *VIEW.shape)] * 2


@pytest.mark.parametrize("name", ["age-weight-network", "slice-network"])
def test_a_network_learns_the_same_from_a_file_as_from_memory(
    file: ViewFile, images: Tensor, name: str
) -> None:
    family: NetworkFamily = replace(FAMILIES[name], view=VIEW, schedule=Schedule(2, batch=3))
    one, other = (
        family.fit(_data(views).take(range(4)), ("age_years",), 0, _data(views).take([4]))
        for views in (file, images)
    )
    for key, values in one.state_dict().items():
        assert torch.equal(values, other.state_dict()[key])
    assert one.curves == other.curves


def test_slices_read_in_parts_are_read_as_all_at_once(images: Tensor) -> None:
    module = FAMILIES["slice-network"].build(("sex", "age_years"), VIEW)
    whole = module(images).detach()
    with torch.no_grad():
        parts = module(images)
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-5)


def test_a_slice_teaches_by_its_femur_in_mm2_whatever_the_view_around_it() -> None:
    def shown(width: int) -> list[int]:
        images = torch.zeros(1, 2, 4, width, width)
        images[:, 1, 1, :4, :4] = 1.0  # 16 points of 4 mm x 3 mm: 192 mm2
        images[:, 1, 2, :4, :3] = 1.0  # 144 mm2
        view = View((4, width, width), (3.0, 4.0, 3.0))
        data = TrainingData(images, {}, view)
        return torch.nonzero(shown_slices(data)[0]).flatten().tolist()

    assert shown(8) == shown(40) == [1]
