"""A plugin's reader, whose mistakes are a scan's refusal and not the end of an ingest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from qctkit.errors import InputError, ScanError

if TYPE_CHECKING:
    from qctkit.cohort import Sample
    from qctkit.contracts import FoundScan, Reader, Scan


@dataclass(frozen=True)
class GuardedReader:
    """A reader that raises nothing but what its contract allows.

    Attributes:
        reader: the plugin's.
        origin: the plugin, for messages.
        failed: told of a ``claims`` that raised; the path then belongs to the other readers.
    """

    reader: "Reader"
    origin: str
    failed: Callable[[str], object]

    @property
    def name(self) -> str:
        """The reader's own name."""
        return self.reader.name

    def claims(self, path: Path) -> bool:
        """Return whether the reader claims the path; one that raises does not."""
        try:
            return bool(self.reader.claims(path))
        except Exception as error:
            kind = type(error).__name__  # not what it says: that may quote a path or a header
            self.failed(f"plugin {self.origin} failed: reader {self.name}, claims: {kind}")
            return False

    def find(self, path: Path) -> "Sequence[FoundScan]":
        """Return the scans at the path.

        Raises:
            ScanError: what the reader says, or that it failed.
        """
        try:
            found = list(self.reader.find(path))
        except InputError:
            raise
        except Exception as error:
            raise _refusal(self.origin, self.name, "find", error) from error
        return [replace(one, load=_GuardedLoad(one.load, self.origin, self.name)) for one in found]


@dataclass(frozen=True)
class _GuardedLoad:
    load: "Callable[[], Scan | Sample]"
    origin: str
    name: str

    def __call__(self) -> "Scan | Sample":
        try:
            return self.load()
        except InputError:
            raise
        except Exception as error:
            raise _refusal(self.origin, self.name, "load", error) from error


def _refusal(origin: str, name: str, method: str, error: Exception) -> ScanError:
    # Not what the error says: it may quote a header.
    return ScanError(f"plugin {origin} failed: reader {name}, {method}: {type(error).__name__}")
