"""Answers of readers on disk: each is there for good before the reader sees the next scan."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import IO

from qctkit.cohort import Record
from qctkit.errors import InputError
from qctkit.subject import SUBJECT_ID_PATTERN

HEAD = b'{"study": '
"""How the first line begins."""

CONFIDENCES = (1, 2, 3)
"""Perhaps, probably, surely."""


@dataclass(frozen=True)
class Answer:
    """What a reader said of one scan.

    Attributes:
        reader: a pseudonym of the reader's choice.
        trial: number of the scan in the draw; the file does not say what the scan is.
        made: whether the reader takes it for made.
        confidence: 1 perhaps, 2 probably, 3 surely.
        seconds: how long the reader looked.

    Raises:
        InputError: a value is impossible.
    """

    reader: str
    trial: int
    made: bool
    confidence: int
    seconds: float

    def __post_init__(self) -> None:
        if not SUBJECT_ID_PATTERN.fullmatch(self.reader):
            raise InputError(
                f"reader {self.reader!r} must be 1 to 64 letters, digits, '.', '_' or '-', "
                "beginning with a letter or digit"
            )
        if self.confidence not in CONFIDENCES or not isinstance(self.made, bool):
            raise InputError(f"an answer is real or made with confidence 1 to 3, got {self}")
        if self.trial < 0 or not 0 <= self.seconds < float("inf"):
            raise InputError(f"an answer's trial and seconds are not negative, got {self}")

    @property
    def score(self) -> int:
        """From -3, surely real, to 3, surely made."""
        return self.confidence if self.made else -self.confidence


class AnswerFile:
    """Answers to one study, a line each; a line that a kill cut short is dropped.

    Args:
        path: the file, made when the first answer is given.
        study: what the answers are to: the cohorts, seed and number of scans.

    Raises:
        InputError: the file is not one of answers, or of answers to another study.
    """

    def __init__(self, path: Path, study: Record) -> None:
        self.path = path
        self.study = study
        self._lock = Lock()
        self._answers: dict[tuple[str, int], Answer] = {}
        if path.exists():
            self._read()

    @property
    def answers(self) -> tuple[Answer, ...]:
        """Every answer in the order given; of two to one scan by one reader, the first."""
        return tuple(self._answers.values())

    def given_by(self, reader: str) -> frozenset[int]:
        """Return the trials that a reader has answered."""
        return frozenset(trial for who, trial in self._answers if who == reader)

    def add(self, answer: Answer) -> None:
        """Write an answer through to the disk; a second one to the same scan is ignored."""
        with self._lock:
            if (answer.reader, answer.trial) in self._answers:
                return
            new = not self.path.exists() or not self.path.stat().st_size
            with self.path.open("ab") as file:
                if new:
                    file.write(_line({"study": self.study}))
                file.write(_line(asdict(answer)))
                _flush(file)
            if new:
                _flush_folder(self.path.parent)
            self._answers[answer.reader, answer.trial] = answer

    def _read(self) -> None:
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if not whole and (HEAD.startswith(data) or data.startswith(HEAD)):
            with self.path.open("r+b") as file:
                file.truncate(0)  # killed within the first line, before any answer
            return
        lines = data[:whole].splitlines()
        try:
            head, *rows = (json.loads(line) for line in lines)
            found = dict(head["study"])
            answers = [Answer(**row) for row in rows]
        except (ValueError, TypeError, KeyError, InputError) as error:
            raise InputError(
                f"{self.path} is not a file of answers of `qctkit read-study`: {error}"
            ) from error
        if found != self.study:
            differing = [name for name in self.study if found.get(name) != self.study[name]]
            raise InputError(
                f"{self.path} holds answers to another study (other {', '.join(differing)}); give "
                "the same cohorts, --scans and --seed, or another file"
            )
        if whole < len(data):
            with self.path.open("r+b") as file:
                file.truncate(whole)
        for one in answers:
            self._answers.setdefault((one.reader, one.trial), one)


def read_study_of(path: Path) -> Record:
    """Return what a file's answers are to.

    Raises:
        InputError: it is not a file of answers.
    """
    try:
        with path.open("rb") as file:
            study: Record = json.loads(file.readline())["study"]
            return {name: study[name] for name in ("made", "real", "scans", "seed")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not a file of answers of `qctkit read-study`; its first line does not say "
            "what was read"
        ) from error


def _line(record: Record) -> bytes:
    return (json.dumps(record, sort_keys=True) + "\n").encode()


def _flush(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Make a new file's name last, where the system lets a folder be flushed."""
    try:
        number = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows
        return
    try:
        os.fsync(number)
    finally:
        os.close(number)
