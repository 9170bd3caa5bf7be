"""How far an unfinished fit is, on disk, so that a kill costs seconds and not the fit."""

import json
import time
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from qctkit.contracts import FitState

EVERY_SECONDS = 10.0
"""A state is a few megabytes and takes milliseconds to write."""

SUFFIX = ".checkpoint"
RECORD = "record"


class FileCheckpoint:
    """A fit's last state as one safetensors file, its JSON values in the header.

    It can be pickled. Whose state it is, the folder's owner must know.

    Args:
        stem: path without a suffix; each part of the fit has a file of its own.
        every_seconds: how old a state must be for another to be due; the first is due at once.
    """

    def __init__(self, stem: Path, every_seconds: float = EVERY_SECONDS) -> None:
        self._stem = stem
        self._every_seconds = every_seconds
        self._saved_at: float | None = None

    @property
    def due(self) -> bool:
        """Whether the last state is old enough for another to be saved."""
        now = time.monotonic()
        return self._saved_at is None or now - self._saved_at >= self._every_seconds

    def load(self) -> FitState | None:
        """Return the last state, None where there is none that can be read."""
        try:
            with safe_open(self._path, framework="pt") as file:
                record = json.loads(file.metadata()[RECORD])
                return FitState({name: file.get_tensor(name) for name in file.keys()}, record)  # noqa: SIM118
        except (OSError, SafetensorError):
            return None

    def save(self, state: FitState) -> None:
        """Keep a state in place of the last; the file is there whole or not at all."""
        partial = self._path.with_name(f"{self._path.name}.partial")
        tensors = {name: values.contiguous() for name, values in state.tensors.items()}
        save_file(tensors, partial, {RECORD: json.dumps(state.record)})
        partial.replace(self._path)
        self._saved_at = time.monotonic()

    def part(self, name: str) -> "FileCheckpoint":
        """Return the checkpoint of a part of the fit."""
        return FileCheckpoint(
            self._stem.with_name(f"{self._stem.name}.{name}"), self._every_seconds
        )

    @property
    def _path(self) -> Path:
        return self._stem.with_name(f"{self._stem.name}{SUFFIX}")
