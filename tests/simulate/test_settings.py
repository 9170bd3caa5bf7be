import json

import numpy as np
import pytest

from qctkit.errors import InputError
from qctkit.simulate import SimulationSettings


def test_the_grid_has_the_spacing_and_covers_the_field_of_view():
    settings = SimulationSettings(spacing_mm=(3.0, 2.0, 1.5))
    geometry = settings.geometry
    extent = np.multiply(geometry.shape, geometry.spacing_mm)
    np.testing.assert_allclose(geometry.spacing_mm, (3.0, 2.0, 1.5))
    np.testing.assert_allclose(extent, settings.field_of_view_mm, atol=1.6)


def test_the_middle_of_the_grid_is_the_same_for_every_spacing():
    for spacing in ((2.0, 1.0, 1.0), (5.0, 2.3, 3.1)):
        geometry = SimulationSettings(spacing_mm=spacing).geometry
        middle = geometry.to_world((np.array(geometry.shape) - 1) / 2)
        np.testing.assert_allclose(middle, (5.0, 5.0, 4.0), atol=1e-9)


def test_settings_survive_json():
    settings = SimulationSettings(spacing_mm=(3.0, 2.0, 1.5), noise_hu=4.0)
    assert SimulationSettings.from_record(json.loads(json.dumps(settings.record()))) == settings


@pytest.mark.parametrize(
    "wrong", [{"spacing_mm": (2, 0, 1)}, {"noise_hu": -1.0}, {"psf_fwhm_mm": (1, 2)}]
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        SimulationSettings(**wrong)
