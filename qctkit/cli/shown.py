"""Progress as a user sees it: a bar on a terminal, plain lines elsewhere, always on stderr."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from qctkit.progress import Progress, Task

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

LINE_EVERY_SECONDS = 15.0
"""Where there is no terminal, a line at most this often, so that logs stay readable."""


def shown_progress() -> Progress:
    """Return a progress that suits stderr."""
    return _Bars() if sys.stderr.isatty() else _Lines()


class _Lines:
    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Task]:
        task = _LineTask(title, total)
        yield task
        click.echo(f"{title}: done in {time.monotonic() - task.began:.0f} s", err=True)

    def say(self, text: str) -> None:
        click.echo(text, err=True)


@dataclass
class _LineTask:
    title: str
    total: int
    done: int = 0
    began: float = field(default_factory=time.monotonic)
    last_line: float = field(default_factory=time.monotonic)

    def advance(self, label: str = "") -> None:
        self.done += 1
        if time.monotonic() - self.last_line >= LINE_EVERY_SECONDS:
            self.last_line = time.monotonic()
            click.echo(f"{self.title}: {self.done}/{self.total} {label}".rstrip(), err=True)


class _Bars:
    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Task]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[label]}"),
        )
        with RichProgress(*columns, console=Console(stderr=True)) as bars:
            yield _BarTask(bars, bars.add_task(title, total=total, label=""))

    def say(self, text: str) -> None:
        click.echo(text, err=True)


class _BarTask:
    def __init__(self, bars: "RichProgress", number: "TaskID") -> None:
        self._bars = bars
        self._number = number

    def advance(self, label: str = "") -> None:
        self._bars.update(self._number, advance=1, label=label)
