"""What a predictor reads before and after a change, beside what it should read."""

from collections.abc import Iterator, Mapping, Sequence

from qctkit.contracts import Reading
from qctkit.pipeline.carry import reads
from qctkit.predictors.skill import Skill
from qctkit.predictors.trained import TrainedPredictor


def readings_of(
    predictor: TrainedPredictor,
    before: Sequence[float],
    after: Sequence[float],
    asked: Mapping[str, float],
) -> Iterator[Reading]:
    """Give a predictor's readings of one subject, by attribute.

    Args:
        predictor: whose readings.
        before: estimates ``(A,)`` of the source: years, kg, a logit for sex.
        after: those of the candidate.
        asked: the changes asked of attributes, in their units; those not named stay.
    """
    for name, first, then in zip(predictor.attributes, before, after, strict=True):
        skill = predictor.skills[name]
        yield Reading(
            predictor=predictor.name,
            role=predictor.role,
            attribute=name,
            before=first,
            after=then,
            expected=first + _expected_change(skill, asked, name),
            typical_error=(skill.joint or skill.response).residual_sd,
            can_read=reads(predictor, name),
        )


def _expected_change(skill: Skill, asked: Mapping[str, float], name: str) -> float:
    """Return what a real change of all that is asked would change in a reading."""
    if skill.joint is None:
        return skill.response.expected_change(asked.get(name, 0.0))
    return skill.joint.expected_change(asked)
