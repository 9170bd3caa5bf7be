import numpy as np
import pytest
from scipy import ndimage

from qctkit.segmentation.edge import CORTEX_HU, SOFT_TISSUE_HU, edge_hu, signed_edge_mm
from qctkit.volume import Mask


def blurred_ball(radius: float, cortex: float) -> tuple[np.ndarray, Mask, np.ndarray]:
    """A ball of marrow in a thin cortex, blurred by 2.1 mm FWHM, on a grid of 1 mm."""
    at = np.indices((60, 60, 60)) - 29.7
    distance = np.sqrt((at**2).sum(axis=0))
    shell = np.clip(radius - distance + 0.5, 0, 1) - np.clip(radius - cortex - distance + 0.5, 0, 1)
    marrow = np.clip(radius - cortex - distance + 0.5, 0, 1)
    image = 50 + shell * (CORTEX_HU - 50) + marrow * 70
    return ndimage.gaussian_filter(image, 0.9).astype(np.float32), distance < radius + 0.5, distance


@pytest.mark.parametrize("cortex", [0.8, 1.5, 4.0])
def test_the_edge_is_found_whatever_the_thickness_of_the_cortex(cortex: float) -> None:
    image, mask, distance = blurred_ball(22.0, cortex)
    edge = signed_edge_mm(mask, image, 1.0)
    at_edge = np.abs(edge) < 0.3
    assert distance[at_edge].mean() == pytest.approx(22.0, abs=0.2)


def test_the_edge_of_a_thick_cortex_is_at_half_its_height() -> None:
    assert edge_hu(np.array([CORTEX_HU]))[0] == pytest.approx((CORTEX_HU + SOFT_TISSUE_HU) / 2)


def test_the_edge_of_a_thin_cortex_is_near_its_peak() -> None:
    peak = np.array([300.0, 500.0, 800.0])
    part = (edge_hu(peak) - SOFT_TISSUE_HU) / (peak - SOFT_TISSUE_HU)
    assert part[0] > 0.9
    assert (np.diff(part) < 0).all()
