"""What a reading should become is what the predictor's own response says of all that is asked."""

from dataclasses import replace

import pytest
from torch import nn

from qctkit.contracts import Role
from qctkit.pipeline.readings import readings_of
from qctkit.predictors.skill import JointResponse, Response, Skill
from qctkit.predictors.trained import TrainedPredictor
from qctkit.view import View

LINE = Skill(29, {"r2": 0.5}, Response(slope=0.6, intercept=20.0, residual_sd=7.0))
PLANE = replace(LINE, joint=JointResponse({"sex": 4.0, "age_years": 0.5}, residual_sd=6.0))


def _reader(skill: Skill) -> TrainedPredictor:
    names = ("age_years",)
    return TrainedPredictor(
        "judge", "judge", Role.READER, names, View(), nn.Identity(), {"age_years": skill}, {}
    )


@pytest.mark.parametrize(
    ("skill", "asked", "expected", "error"),
    [
        (LINE, {"age_years": 10.0, "sex": 1.0}, 56.0, 7.0),
        (LINE, {"sex": 1.0}, 50.0, 7.0),
        (PLANE, {"age_years": 10.0, "sex": 1.0}, 59.0, 6.0),
        (PLANE, {"age_years": 10.0}, 55.0, 6.0),
    ],
)
def test_a_reading_is_expected_to_follow_the_plane_where_there_is_one(
    skill: Skill, asked: dict[str, float], expected: float, error: float
) -> None:
    (found,) = readings_of(_reader(skill), [50.0], [57.0], asked)
    assert (found.predictor, found.attribute, found.role) == ("judge", "age_years", Role.READER)
    assert (found.before, found.after) == (50.0, 57.0)
    assert found.expected == pytest.approx(expected)
    assert found.typical_error == error
    assert found.can_read
