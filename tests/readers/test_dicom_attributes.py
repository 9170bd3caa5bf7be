import pytest

from qctkit.readers.dicom_attributes import (
    age_years_from_header,
    sex_from_header,
    weight_kg_from_header,
)


@pytest.mark.parametrize(
    ("text", "years"),
    [("046Y", 46), ("46Y", 46), ("018M", 1.5), ("052W", 52 * 7 / 365.25), ("010D", 10 / 365.25)],
)
def test_age_is_understood_in_years_months_weeks_and_days(text: str, years: float):
    assert age_years_from_header(text) == pytest.approx(years)


@pytest.mark.parametrize("text", ["", "000Y", "000D", "46", "-46Y", "121Y", "999Y", "Y", "046A"])
def test_impossible_age_is_missing(text: str):
    assert age_years_from_header(text) is None


@pytest.mark.parametrize("text", ["", "O", "X", "FM"])
def test_other_sex_is_missing(text: str):
    assert sex_from_header(text) is None


@pytest.mark.parametrize("text", ["", "0", "0.000", "1.0", "-70", "700", "nan", "inf", "heavy"])
def test_absurd_weight_is_missing(text: str):
    assert weight_kg_from_header(text) is None
