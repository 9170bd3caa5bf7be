import numpy as np
import pytest

from qctkit.errors import InputError
from qctkit.geometry import Geometry
from qctkit.phantoms.rods import from_rod_mask, read_rods
from qctkit.phantoms.table import find_phantom
from qctkit.units import Unit
from qctkit.volume import Volume

PHANTOM = find_phantom("b-mas-200")
SLOPE, INTERCEPT = 0.8, 5.0
SHAPE = (6, 24, 120)


def phantom_scan(
    radius: float = 7.0, noise_hu: float = 10.0
) -> tuple[Volume, np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    """Five rods in a row in plastic of 0 HU, whose outermost ring holds half plastic."""
    _, h, w = np.indices(SHAPE)
    hu = np.random.default_rng(0).normal(0.0, noise_hu, SHAPE)
    labels = np.zeros(SHAPE, dtype=np.uint8)
    for number, rod in enumerate(PHANTOM.rods):
        distance = np.hypot(h - 12, w - 12 - 24 * number)
        true_hu = (rod.density_mg_cm3 - INTERCEPT) / SLOPE
        hu += true_hu * np.clip(radius - distance, 0, 1)
        labels[distance < radius] = number + 1
    return Volume(hu.astype(np.float32), Geometry.from_spacing(SHAPE, (3.0, 1.0, 1.0))), labels


def test_a_mask_of_rods_recovers_the_line() -> None:
    found = from_rod_mask(*phantom_scan(), PHANTOM, 120.0)
    assert found.slope_mg_cm3_per_hu == pytest.approx(SLOPE, rel=0.01)
    assert found.intercept_mg_cm3 == pytest.approx(INTERCEPT, abs=1.5)
    assert (found.origin, found.rods) == ("phantom rods in a mask", 5)


def test_the_edge_of_a_label_is_left_out() -> None:
    volume, labels = phantom_scan(noise_hu=0.1)
    densest = read_rods(volume, labels, PHANTOM)[-1]
    true_hu = (200.0 - INTERCEPT) / SLOPE
    assert densest.eroded
    assert densest.mean_hu == pytest.approx(true_hu, abs=0.01 * true_hu)
    assert volume.voxels[labels == 5].mean() < 0.97 * true_hu


def test_the_standard_error_is_that_of_the_noise() -> None:
    volume, labels = phantom_scan(noise_hu=10.0)
    reading = read_rods(volume, labels, PHANTOM)[0]
    assert reading.standard_error_hu == pytest.approx(10.0 / np.sqrt(reading.voxels), rel=0.2)


def test_a_rod_too_thin_to_lose_its_edge_is_read_whole() -> None:
    volume, labels = phantom_scan(radius=1.5)
    reading = read_rods(volume, labels, PHANTOM)[0]
    assert not reading.eroded
    assert reading.voxels == int((labels == 1).sum())


@pytest.mark.parametrize("missing", [1, 5])
def test_a_missing_label_is_refused_with_the_order(missing: int) -> None:
    volume, labels = phantom_scan()
    labels[labels == missing] = 0
    with pytest.raises(InputError, match=r"labelled 1 to 5 in the order A \(0 mg/cm3\), B"):
        from_rod_mask(volume, labels, PHANTOM)


def test_a_label_too_many_is_refused() -> None:
    volume, labels = phantom_scan()
    labels[0, 0, 0] = 9
    with pytest.raises(InputError, match="has labels 1, 2, 3, 4, 5, 9"):
        from_rod_mask(volume, labels, PHANTOM)


def test_a_label_of_a_few_voxels_is_refused() -> None:
    volume, labels = phantom_scan()
    labels[labels == 3] = 0
    labels[2, 12, 60:64] = 3
    with pytest.raises(InputError, match="rod C has 4 voxels"):
        from_rod_mask(volume, labels, PHANTOM)


def test_labels_in_reverse_order_are_refused() -> None:
    volume, labels = phantom_scan()
    with pytest.raises(InputError, match="another order"):
        from_rod_mask(volume, np.where(labels > 0, 6 - labels, 0), PHANTOM)


def test_a_mask_of_another_grid_is_refused() -> None:
    volume, labels = phantom_scan()
    with pytest.raises(InputError, match="shape"):
        from_rod_mask(volume, labels[1:], PHANTOM)


def test_a_scan_in_mg_cm3_is_refused() -> None:
    volume, labels = phantom_scan()
    dense = Volume(volume.voxels, volume.geometry, Unit.MG_CM3_HA)
    with pytest.raises(InputError, match="in mg/cm3 HA already"):
        from_rod_mask(dense, labels, PHANTOM)
