"""A blinded reading that goes on: who has read what, and what comes next."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qctkit.cohort import Sample
from qctkit.errors import InputError
from qctkit.report.stack import Stack, box_around, stack_of
from qctkit.serve.answers import Answer, AnswerFile
from qctkit.serve.trials import Trial, order_for

MARGIN_MM = 25.0
"""Shown around the femur."""


@dataclass(frozen=True, eq=False)
class Study:
    """Scans to be read, and the file that answers go to.

    Attributes:
        trials: the scans.
        load: gives a scan by its trial.
        answers: where answers are kept.
        seed: of each reader's order.
    """

    trials: Sequence[Trial]
    load: Callable[[Trial], Sample]
    answers: AnswerFile
    seed: int

    def done(self, reader: str) -> int:
        """Return how many scans a reader has read."""
        return len(self.answers.given_by(reader))

    def next_place(self, reader: str) -> int | None:
        """Return the place in the reader's order that comes next, None after the last."""
        given = self.answers.given_by(reader)
        order = order_for(reader, len(self.trials), self.seed)
        return next((place for place, trial in enumerate(order) if trial not in given), None)

    def scan(self, reader: str, place: int) -> Stack:
        """Return the scan at a place of the reader's order, at its full resolution."""
        sample = self.load(self.trials[self._trial(reader, place)])
        return stack_of(sample, box_around(sample, MARGIN_MM))

    def answer(
        self, reader: str, place: int, *, made: bool, confidence: int, seconds: float
    ) -> None:
        """Keep an answer for good.

        Raises:
            InputError: it is no answer to a scan of this study.
        """
        self.answers.add(Answer(reader, self._trial(reader, place), made, confidence, seconds))

    def _trial(self, reader: str, place: int) -> int:
        if not 0 <= place < len(self.trials):
            raise InputError(f"there is no scan {place}; there are {len(self.trials)}")
        return order_for(reader, len(self.trials), self.seed)[place]
