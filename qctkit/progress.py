"""How long work is shown: a protocol, so that the library itself prints nothing."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol


class Task(Protocol):
    """One piece of long work in sight of the user."""

    def advance(self, label: str = "") -> None:
        """Count one unit done, with a few words on what is next."""
        ...


class Progress(Protocol):
    """Where the stages report to."""

    def task(self, title: str, total: int) -> AbstractContextManager[Task]:
        """Return a context in which ``total`` units of work are counted."""
        ...

    def say(self, text: str) -> None:
        """Show one line."""
        ...


@dataclass(frozen=True)
class Silent:
    """Progress that nobody sees."""

    def task(self, title: str, total: int) -> AbstractContextManager[Task]:  # noqa: ARG002
        """Return a task that counts for nobody."""
        return nullcontext(self)

    def advance(self, label: str = "") -> None:
        """Do nothing."""

    def say(self, text: str) -> None:
        """Do nothing."""
