import numpy as np
import pytest
from scipy import stats

from qctkit.analysis.relations import Rows, compare, relation

COUNT = 30


def _rows(slope: float, *, noise: float = 15.0, seed: int = 0, **changes: object) -> Rows:
    """Return a figure that rises with weight by ``slope``, falls with age, and differs by sex."""
    random = np.random.default_rng(seed)
    sex = np.arange(COUNT) % 2.0
    age = random.uniform(30, 90, COUNT)
    weight = 55.0 + 12.0 * sex + 0.2 * age + random.normal(0, 10, COUNT)
    values = 400 + slope * weight - 2.0 * age + 30.0 * sex + random.normal(0, noise, COUNT)
    table = {"sex": sex, "age_years": age, "weight_kg": weight} | changes
    return Rows(values, table, np.array([f"S{one}" for one in range(COUNT)]))


@pytest.mark.parametrize("slope", [-3.0, 0.0, 3.0])
def test_a_planted_slope_is_found_in_sign_and_size(slope: float) -> None:
    found = relation(_rows(slope), "weight_kg")
    assert found is not None
    assert not found.slope.excludes(slope)
    assert found.slope.value == pytest.approx(slope, abs=0.8)
    assert found.slope.excludes(0.0) is (slope != 0.0)
    assert found.rank.excludes(0.0) is (slope != 0.0)
    assert found.adjusted_for == ("sex", "age_years")


def test_without_noise_the_slope_is_exact() -> None:
    found = relation(_rows(-1.5, noise=0.0), "age_years")
    assert found is not None
    assert found.slope.value == pytest.approx(-2.0)


def test_the_interval_is_hc3s() -> None:
    rows = _rows(1.0)
    found = relation(rows, "weight_kg")
    design = np.stack([rows.attributes["weight_kg"], rows.attributes["sex"],
                       rows.attributes["age_years"], np.ones(COUNT)], axis=1)  # fmt: skip
    inverse = np.linalg.inv(design.T @ design)
    left = rows.values - design @ inverse @ design.T @ rows.values
    leverage = np.einsum("ij,jk,ik->i", design, inverse, design)
    meat = design.T * (left / (1 - leverage)) ** 2 @ design
    error = np.sqrt((inverse @ meat @ inverse)[0, 0] * (COUNT - 1) / COUNT)
    assert found is not None
    assert found.slope.high is not None
    reach = found.slope.high - found.slope.value
    assert reach == pytest.approx(error * stats.t.ppf(0.975, COUNT - 1), rel=1e-6)


def test_samples_of_one_source_are_one_cluster() -> None:
    rows = _rows(1.0)
    twice = Rows(
        np.tile(rows.values, 2),
        {name: np.tile(column, 2) for name, column in rows.attributes.items()},
        np.tile(rows.groups, 2),
    )
    once, again = relation(rows, "weight_kg"), relation(twice, "weight_kg")
    assert once is not None
    assert again is not None
    assert again.slope.low == pytest.approx(once.slope.low)


def test_an_attribute_that_nobody_has_is_left_out() -> None:
    found = relation(_rows(1.0, sex=np.full(COUNT, np.nan)), "weight_kg")
    assert found is not None
    assert found.adjusted_for == ("age_years",)
    assert relation(_rows(1.0, sex=np.full(COUNT, np.nan)), "sex") is None


def test_too_few_subjects_have_no_relation() -> None:
    rows = _rows(1.0)
    few = {name: column[:7] for name, column in rows.attributes.items()}
    assert relation(Rows(rows.values[:7], few, rows.groups[:7]), "weight_kg") is None


def test_equal_slopes_are_not_refuted_and_opposite_ones_are() -> None:
    real = _rows(2.0)
    assert (compare("m", "weight_kg", real, _rows(2.0, seed=1)).p_equal or 0.0) > 0.05
    opposite = compare("m", "weight_kg", real, _rows(-2.0, seed=1))
    assert (opposite.p_equal or 1.0) < 0.001
    assert opposite.difference is not None
    assert opposite.difference.value == pytest.approx(-4.0, abs=1.0)


def test_a_source_is_resampled_with_its_samples() -> None:
    """Made samples that are their sources differ from them in nothing, so surely."""
    real = _rows(2.0)
    found = compare("m", "weight_kg", real, real)
    assert found.difference is not None
    assert found.difference.high == pytest.approx(0.0, abs=1e-9)
