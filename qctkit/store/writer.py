"""Writing a cohort so that a kill at any instant leaves only whole samples.

Every finished sample or refusal becomes a small file of its own beside the output, in
``<output>.parts``: written under another name, flushed to disk, then renamed. Each part is itself
a valid cohort file. When the run is complete the parts are put together, in order, into the
output, which appears under its name only when it is whole.
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

import h5py

import qctkit
from qctkit import schema
from qctkit.cohort import Record, Sample
from qctkit.errors import CohortFileError, OutputExistsError, QctkitError
from qctkit.store.encode import encode, to_json
from qctkit.store.group import (
    read_attributes,
    write_attributes,
    write_group,
    write_json,
    write_texts,
)
from qctkit.store.table import (
    Row,
    fingerprint,
    others_of,
    read_table,
    table_row,
    table_rows,
    write_table,
)
from qctkit.window import DEFAULT_WINDOW, Window

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PART_DIGITS = 6
RUN_RECORD = "run.json"
LOCK = "lock"


class CohortWriter:
    """Collects samples and refusals and turns them into one cohort file.

    Use it as a context manager: leaving it normally writes the output; leaving it by an error
    removes the parts, unless ``keep_parts`` asks for them so that the run can be resumed.

    Args:
        path: the output file.
        run: what makes the file, for the record; JSON values only.
        window: the window stored with the cohort.
        overwrite: replace an existing output, and forget the parts of an interrupted run.
        keep_parts: leave the parts of an interrupted run for a later resume.
        inputs: digest of what the run was given that ``run`` must not hold, such as paths; a
            resumed run must have the same.

    Raises:
        OutputExistsError: the output, or an interrupted run of it, is there already.
    """

    def __init__(
        self,
        path: Path,
        run: Record,
        *,
        window: Window = DEFAULT_WINDOW,
        overwrite: bool = False,
        keep_parts: bool = False,
        resume: bool = False,
        inputs: str = "",
    ) -> None:
        self.path = path
        self._inputs = inputs
        self._run = run
        self._window = window
        self._keep_parts = keep_parts
        self._parts = _parts_of(path)
        refuse_existing_output(path, overwrite=overwrite, resume=resume)
        self._noted: dict[int, _Noted] = {}
        self._parts.mkdir(parents=True, exist_ok=True)
        self._lock: IO[bytes] | None = _locked(self._parts / LOCK)
        try:
            if not resume:
                self._forget_parts()
            self._begin_or_resume()
        except BaseException:
            self._unlock()
            raise

    def __getstate__(self) -> dict[str, object]:
        """Return what goes to a worker: everything but the lock, which stays with this process."""
        return self.__dict__ | {"_lock": None}

    def __enter__(self) -> "CohortWriter":
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error_type is None:
                self._assemble()
                self.discard()
            elif not self._keep_parts:
                self.discard()
        finally:
            self._unlock()

    def discard(self) -> None:
        """Remove the parts."""
        shutil.rmtree(self._parts, ignore_errors=True)

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()

    def _forget_parts(self) -> None:
        for file in self._parts.iterdir():
            if file.name != LOCK:
                file.unlink()

    @property
    def parts(self) -> Path:
        """Folder of the finished parts."""
        return self._parts

    def done(self, position: int) -> bool:
        """Whether the part at a position of the run is on disk."""
        return self.part(position).exists()

    def add(self, position: int, *samples: Sample) -> None:
        """Store samples as the part at a position of the run.

        Any process may do so: parts are files of their own, and ids are checked at the end.
        """
        self._noted[position] = _Noted(self._write(self.part(position), samples))

    def set_aside(self, position: int, sample: Sample) -> None:
        """Store a sample that may be wanted as the part at a position; any process may do so."""
        self._write(self._aside(position), [sample])

    def take(self, position: int) -> None:
        """Make what was set aside the part at a position of the run."""
        self._aside(position).replace(self.part(position))

    def _aside(self, position: int) -> Path:
        return self._parts / f"aside-{self.part(position).name}"

    def _write(self, path: Path, samples: Sequence[Sample]) -> tuple[Row, ...]:
        """Write samples as a part of this name, and return their rows of the table."""
        rows = []
        with _new_file(path) as file:
            groups = file.create_group(schema.SAMPLES)
            for sample in samples:
                stored = encode(sample)
                sha256 = stored.checksum()
                write_group(groups.create_group(sample.sample_id), stored, sha256)
                rows.append(table_row(sample, stored, sha256))
            write_root(file, rows, self._run, self._window)
        return tuple(rows)

    def refuse(self, position: int, record: Record) -> None:
        """Store a refusal, which has no voxels, as the part at a position of the run."""
        texts = [to_json(record)]
        with _new_file(self.part(position)) as file:
            write_texts(file, schema.REFUSED, texts)
            write_root(file, [], self._run, self._window)
        self._noted[position] = _Noted(refused=tuple(texts))

    def stored(self) -> tuple[int, int]:
        """Return how many samples and refusals are on disk."""
        parts = self._note_parts().values()
        return sum(len(part.rows) for part in parts), sum(len(part.refused) for part in parts)

    def _begin_or_resume(self) -> None:
        """Keep the run beside its parts, so that only the same run can go on with them."""
        begun = self._parts / RUN_RECORD
        now = {**self._run, "inputs": self._inputs}
        text = to_json(now)
        if begun.exists() and begun.read_text(encoding="utf-8") != text:
            before = json.loads(begun.read_text(encoding="utf-8"))
            changed = sorted(
                key for key in before.keys() | now.keys() if before.get(key) != now.get(key)
            )
            raise OutputExistsError(
                f"{self._parts} holds a run with other options ({', '.join(changed)} differ); "
                "resume with the same ones, or give --overwrite to start again"
            )
        with _Replacing(begun) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def part(self, position: int) -> Path:
        """Return where the part at a position of the run is, itself a cohort file."""
        return self._parts / f"{position:0{PART_DIGITS}d}.h5"

    def _part_files(self) -> list[Path]:
        return sorted(self._parts.glob("[0-9]*.h5"))

    def _note_parts(self) -> dict[int, "_Noted"]:
        """Return what is on disk, by position; reads only parts of other processes and runs."""
        for path in self._part_files():
            position = int(path.stem)
            if position not in self._noted:
                with h5py.File(path, "r") as part:
                    rows = tuple(table_rows(read_table(part[schema.TABLE], _names(part))))
                    refused = part[schema.REFUSED].asstr()[()] if schema.REFUSED in part else ()
                    self._noted[position] = _Noted(rows, tuple(refused))
        return dict(sorted(self._noted.items()))

    def _assemble(self) -> None:
        """Put the parts together in order; compressed chunks are copied as they are."""
        noted = self._note_parts()
        rows = [row for part in noted.values() for row in part.rows]
        refused = [text for part in noted.values() for text in part.refused]
        _refuse_repeated_ids(rows)
        with _new_file(self.path) as file:
            samples = file.create_group(schema.SAMPLES)
            for position in noted:
                with h5py.File(self.part(position), "r") as part:
                    for row in noted[position].rows:
                        part.copy(part[schema.SAMPLES][row["sample_id"]], samples)
            if refused:
                write_texts(file, schema.REFUSED, refused)
            write_root(file, rows, self._run, self._window)


@dataclass(frozen=True)
class _Noted:
    """What a part holds: rows of the table, and texts of refusals."""

    rows: tuple[Row, ...] = ()
    refused: tuple[str, ...] = ()


def _names(part: h5py.File) -> list[str]:
    return [one.name for one in read_attributes(part)]


def _refuse_repeated_ids(rows: Sequence[Row]) -> None:
    counts = Counter(str(row["sample_id"]) for row in rows)
    for sample_id, count in counts.items():
        if count > 1:
            raise CohortFileError(f"sample {sample_id} is given twice; ids must be unique")


def write_root(file: h5py.File, rows: Sequence[Row], run: Record, window: Window) -> None:
    """Write everything but samples and refusals: the run, the table and what names the file."""
    file.require_group(schema.SAMPLES)
    write_json(file, schema.RUN, run)
    write_table(file.create_group(schema.TABLE), rows)
    others = others_of(rows)
    write_attributes(file, others)
    file.attrs["format"] = schema.FORMAT
    file.attrs["format_version"] = schema.format_version(others)
    file.attrs["qctkit_version"] = qctkit.__version__
    file.attrs["window_low_hu"] = window.low_hu
    file.attrs["window_high_hu"] = window.high_hu
    file.attrs["fingerprint"] = fingerprint(str(row[schema.SHA256]) for row in rows)


def begun_run(path: Path) -> Record:
    """Return the record of the interrupted run of an output; empty where there is none."""
    begun = _parts_of(path) / RUN_RECORD
    found: Record = json.loads(begun.read_text(encoding="utf-8")) if begun.is_file() else {}
    return found


def refuse_existing_output(path: Path, *, overwrite: bool, resume: bool = False) -> None:
    """Refuse an output that is there, or an interrupted run of it, before any work is done.

    Raises:
        OutputExistsError: it is there, and neither ``overwrite`` nor ``resume`` allows it.
    """
    if path.is_dir():
        raise OutputExistsError(f"{path} is a folder; give the name of a file to write")
    if path.exists() and not overwrite:
        raise OutputExistsError(
            f"{path} exists; choose another output or give --overwrite to replace it"
        )
    if _parts_of(path).exists() and not (resume or overwrite):
        raise OutputExistsError(
            f"{_parts_of(path)} holds an interrupted run (or one that is still going on); give "
            "--resume to go on with it or "
            "--overwrite to start again"
        )


def _parts_of(path: Path) -> Path:
    return path.with_name(path.name + ".parts")


@contextmanager
def _new_file(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file that takes its name only when it is complete and on disk.

    Raises:
        QctkitError: it cannot be written.
    """
    try:
        with _Replacing(path) as temporary, h5py.File(temporary, "w") as file:
            yield file
    except (OSError, RuntimeError) as error:
        # HDF5 tells of a full disk in many words and kinds of errors, none of which names a file.
        if isinstance(error, OSError) and error.filename:
            raise
        raise QctkitError(f"{path} could not be written; is the disk full?") from error


def _locked(path: Path) -> IO[bytes] | None:
    """Return a file that only one process can hold locked, until it is closed or the process ends.

    None where the system or the file system knows no such locks.

    Raises:
        OutputExistsError: another process holds it.
    """
    if fcntl is None:
        return None
    file = path.open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise OutputExistsError(
            f"{path.parent} is being written by another run; wait for it, or choose another output"
        ) from None
    except OSError:
        file.close()
        return None
    return file


class _Replacing:
    """A file that takes its name only when it is complete and on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary = path.with_name(f".{path.name}.partial")

    def __enter__(self) -> Path:
        return self._temporary

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        if error_type is not None:
            self._temporary.unlink(missing_ok=True)
            return
        with self._temporary.open("rb") as file:
            os.fsync(file.fileno())
        self._temporary.replace(self._path)
