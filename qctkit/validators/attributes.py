"""``attributes``: do predictors outside the loop read the change that was asked for?"""

from dataclasses import dataclass

from qctkit.contracts import Candidate, Reading, Role, Verdict
from qctkit.density import DensityReference

SHARE_OF_CHANGE = 0.5
SHARE_OF_ERROR = 1.0
"""A reading may miss by half the change expected of it, or by its error on unseen subjects,
whichever is more: below that a reader cannot tell a miss from its own noise. Half the error was
tried first, and refused a third of simulated people who had truly changed (exploration, 100 people
and one reader; no benchmark measures it yet)."""


@dataclass(frozen=True)
class Attributes:
    """Every reader outside the loop reads what it would off a real subject so changed.

    The predictors that drove the loop have no say. A candidate without carried attributes has
    nothing to reach, and says so.
    """

    name: str = "attributes"

    def judge(self, candidate: Candidate, reference: DensityReference) -> Verdict:  # noqa: ARG002
        """Return the verdict of the readers outside the loop."""
        if not candidate.carried:
            return Verdict(
                self.name, True, {}, "no attribute is carried: all labels are the source's own"
            )
        readings = [
            one
            for one in candidate.readings
            if one.role is Role.READER and one.can_read and one.attribute in candidate.carried
        ]
        unread = set(candidate.carried) - {one.attribute for one in readings}
        if unread:
            words = f"no reader outside the loop reads {', '.join(sorted(unread))}"
            return Verdict(self.name, False, {}, words)
        figures: dict[str, float] = {}
        for one in readings:
            figures[f"{one.predictor}_{one.attribute}_change"] = one.after - one.before
            figures[f"{one.predictor}_{one.attribute}_change_expected"] = one.expected - one.before
        return Verdict(
            self.name,
            all(_reached(one) for one in readings),
            figures,
            "; ".join(_in_words(one) for one in readings),
        )


def _reached(reading: Reading) -> bool:
    return abs(reading.after - reading.expected) <= _tolerance(reading)


def _tolerance(reading: Reading) -> float:
    asked = abs(reading.expected - reading.before)
    return max(SHARE_OF_CHANGE * asked, SHARE_OF_ERROR * reading.typical_error)


def _in_words(reading: Reading) -> str:
    return (
        f"{reading.predictor} read {reading.attribute} {reading.before:.1f} before and "
        f"{reading.after:.1f} after; a real change would read {reading.expected:.1f} "
        f"(within {_tolerance(reading):.1f})"
    )
