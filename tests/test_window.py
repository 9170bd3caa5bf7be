import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qctkit.errors import InputError
from qctkit.window import DEFAULT_BONE_BAND, DEFAULT_WINDOW, Window


def test_the_default_bone_band_is_300_to_820_hu() -> None:
    assert DEFAULT_BONE_BAND.limits_hu(DEFAULT_WINDOW) == pytest.approx((300.0, 820.0))


@given(st.floats(0.0, 1.0))
def test_apply_inverts_to_hu(fraction: float) -> None:
    hu = np.array([DEFAULT_WINDOW.to_hu(fraction)])
    assert DEFAULT_WINDOW.apply(hu)[0] == pytest.approx(fraction, abs=1e-6)


def test_values_outside_are_clipped_and_the_result_is_float32() -> None:
    seen = DEFAULT_WINDOW.apply(np.array([-3000, 5000], dtype=np.int16))
    assert seen.dtype == np.float32
    assert seen.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("high", [-1000.0, -1001.0, float("nan")])
def test_a_window_without_width_is_refused(high: float) -> None:
    with pytest.raises(InputError, match="high above low"):
        Window(-1000.0, high)
