"""``attributes``: do predictors outside the loop read the change that was asked for?"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from qctkit.contracts import Candidate, Reading, Role, Verdict
from qctkit.density import DensityReference

SHARE_OF_CHANGE = 0.5
ERRORS_ALLOWED = 1.25
"""Readers together may miss by half the change expected of them, or by so many of their errors on
unseen subjects, whichever is more: below that they cannot tell a miss from their own noise. What
true changes and unchanged copies then get is measured in benchmarks/acceptance.py."""


@dataclass(frozen=True)
class Attributes:
    """Readers outside the loop read, on average, what they would off a real subject so changed.

    Each counts by its own error: of few subjects each reader is weak, and their mean is less so.
    The predictors that drove the loop have no say. A candidate without carried attributes has
    nothing to reach, and says so.
    """

    name: str = "attributes"
    limits: str = (
        f"readers outside the loop together miss the change expected of them by at most "
        f"{SHARE_OF_CHANGE:g} of it or {ERRORS_ALLOWED:g} of their errors on unseen subjects, "
        "whichever is more"
    )

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
        together = [
            [one for one in readings if one.attribute == name] for name in candidate.carried
        ]
        return Verdict(
            self.name,
            all(_miss(some) <= _tolerance(some) for some in together),
            figures,
            "; ".join(_in_words(some) for some in together),
        )


def _miss(readings: Sequence[Reading]) -> float:
    """Return by how many of their errors readers of one attribute miss together."""
    return abs(fmean((one.after - one.expected) / one.typical_error for one in readings))


def _tolerance(readings: Sequence[Reading]) -> float:
    asked = abs(fmean((one.expected - one.before) / one.typical_error for one in readings))
    return max(SHARE_OF_CHANGE * asked, ERRORS_ALLOWED)


def _in_words(readings: Sequence[Reading]) -> str:
    each = " and ".join(
        f"{one.predictor} read {one.attribute} {one.before:.1f} before and {one.after:.1f} after "
        f"where a real change would read {one.expected:.1f}"
        for one in readings
    )
    return f"{each}: off by {_miss(readings):.1f} errors ({_tolerance(readings):.1f} allowed)"
