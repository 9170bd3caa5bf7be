"""Writing a cohort so that a kill at any instant leaves only whole samples.

Every finished sample or refusal becomes a small file of its own beside the output, in
``<output>.parts``: written under another name, flushed to disk, then renamed. Each part is itself
a valid cohort file. When the run is complete the parts are put together, in order, into the
output, which appears under its name only when it is whole.
"""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import h5py

import qctkit
from qctkit import schema
from qctkit.cohort import Record, Sample
from qctkit.errors import CohortFileError, OutputExistsError
from qctkit.store.encode import encode, to_json
from qctkit.store.group import write_group, write_json, write_texts
from qctkit.store.table import Row, fingerprint, read_table, table_row, table_rows, write_table
from qctkit.window import DEFAULT_WINDOW, Window

PART_DIGITS = 6
RUN_RECORD = "run.json"


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
    ) -> None:
        self.path = path
        self._run = run
        self._window = window
        self._keep_parts = keep_parts
        self._parts = _parts_of(path)
        refuse_existing_output(path, overwrite=overwrite, resume=resume)
        self._ids: set[str] = set()
        self._rows: dict[int, Row] = {}
        self._refused = 0
        if self._parts.exists() and not resume:
            shutil.rmtree(self._parts)
        self._parts.mkdir(parents=True, exist_ok=True)
        self._begin_or_resume()
        self._note_parts()

    def __enter__(self) -> "CohortWriter":
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error_type is None:
            self._assemble()
            shutil.rmtree(self._parts)
        elif not self._keep_parts:
            shutil.rmtree(self._parts)

    @property
    def parts(self) -> Path:
        """Folder of the finished parts."""
        return self._parts

    def done(self, position: int) -> bool:
        """Whether the part at a position of the run is on disk."""
        return self._part(position).exists()

    def add(self, position: int, sample: Sample) -> None:
        """Store a sample as the part at a position of the run.

        Raises:
            CohortFileError: a sample of this id was added before.
        """
        if sample.sample_id in self._ids:
            raise CohortFileError(f"sample {sample.sample_id} is given twice; ids must be unique")
        self._ids.add(sample.sample_id)
        stored = encode(sample)
        sha256 = stored.checksum()
        row = table_row(sample, stored, sha256)
        with _Replacing(self._part(position)) as temporary, h5py.File(temporary, "w") as file:
            group = file.create_group(f"{schema.SAMPLES}/{sample.sample_id}")
            write_group(group, stored, sha256)
            write_root(file, [row], self._run, self._window)
        self._rows[position] = row

    def refuse(self, position: int, record: Record) -> None:
        """Store a refusal, which has no voxels, as the part at a position of the run."""
        with _Replacing(self._part(position)) as temporary, h5py.File(temporary, "w") as file:
            write_texts(file, schema.REFUSED, [to_json(record)])
            write_root(file, [], self._run, self._window)
        self._refused += 1

    def stored(self) -> tuple[int, int]:
        """Return how many samples and refusals are on disk."""
        return len(self._rows), self._refused

    def _begin_or_resume(self) -> None:
        """Keep the run beside its parts, so that only the same run can go on with them."""
        begun = self._parts / RUN_RECORD
        text = to_json(self._run)
        if begun.exists() and begun.read_text(encoding="utf-8") != text:
            before = json.loads(begun.read_text(encoding="utf-8"))
            changed = sorted(
                key for key in before.keys() | self._run if before.get(key) != self._run.get(key)
            )
            raise OutputExistsError(
                f"{self._parts} holds a run with other options ({', '.join(changed)} differ); "
                "resume with the same ones, or give --overwrite to start again"
            )
        with _Replacing(begun) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def _part(self, position: int) -> Path:
        return self._parts / f"{position:0{PART_DIGITS}d}.h5"

    def _part_files(self) -> list[Path]:
        return sorted(self._parts.glob("[0-9]*.h5"))

    def _note_parts(self) -> None:
        """Take note of what an interrupted run left."""
        for part_path in self._part_files():
            with h5py.File(part_path, "r") as part:
                for row in table_rows(read_table(part[schema.TABLE])):
                    self._rows[int(part_path.stem)] = row
                    self._ids.add(str(row["sample_id"]))
                self._refused += len(part[schema.REFUSED]) if schema.REFUSED in part else 0

    def _assemble(self) -> None:
        """Put the parts together in order; compressed chunks are copied as they are."""
        refused: list[str] = []
        with _Replacing(self.path) as temporary, h5py.File(temporary, "w") as file:
            samples = file.create_group(schema.SAMPLES)
            for part_path in self._part_files():
                with h5py.File(part_path, "r") as part:
                    for sample_id, group in part[schema.SAMPLES].items():
                        part.copy(group, samples, name=sample_id)
                    if schema.REFUSED in part:
                        refused.extend(part[schema.REFUSED].asstr()[()])
            if refused:
                write_texts(file, schema.REFUSED, refused)
            rows = [self._rows[position] for position in sorted(self._rows)]
            write_root(file, rows, self._run, self._window)


def write_root(file: h5py.File, rows: Sequence[Row], run: Record, window: Window) -> None:
    """Write everything but samples and refusals: the run, the table and what names the file."""
    file.require_group(schema.SAMPLES)
    write_json(file, schema.RUN, run)
    write_table(file.create_group(schema.TABLE), rows)
    file.attrs["format"] = schema.FORMAT
    file.attrs["format_version"] = schema.FORMAT_VERSION
    file.attrs["qctkit_version"] = qctkit.__version__
    file.attrs["window_low_hu"] = window.low_hu
    file.attrs["window_high_hu"] = window.high_hu
    file.attrs["fingerprint"] = fingerprint(str(row[schema.SHA256]) for row in rows)


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
            f"{_parts_of(path)} holds an interrupted run; give --resume to go on with it or "
            "--overwrite to start again"
        )


def _parts_of(path: Path) -> Path:
    return path.with_name(path.name + ".parts")


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
