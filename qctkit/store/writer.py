"""Writing a cohort so that a kill at any instant leaves only whole samples.

Every finished sample or refusal becomes a small file of its own beside the output, in
``<output>.parts``: written under another name, flushed to disk, then renamed. Each part is itself
a valid cohort file. When the run is complete the parts are put together, in order, into the
output, which appears under its name only when it is whole.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np

import qctkit
from qctkit import schema
from qctkit.cohort import Record, Sample
from qctkit.errors import CohortFileError, OutputExistsError
from qctkit.store.encode import read_json, read_subject, to_json, write_json, write_sample
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
        if self._parts.exists() and not resume:
            shutil.rmtree(self._parts)
        self._parts.mkdir(parents=True, exist_ok=True)
        self._begin_or_resume()

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
            self.discard()
        elif not self._keep_parts:
            self.discard()

    def discard(self) -> None:
        """Remove the parts."""
        shutil.rmtree(self._parts, ignore_errors=True)

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
        with _Replacing(self.part(position)) as temporary, h5py.File(temporary, "w") as file:
            groups = file.create_group(schema.SAMPLES)
            for sample in samples:
                write_sample(groups.create_group(sample.sample_id), sample)
            self._finish(file)

    def refuse(self, position: int, record: Record) -> None:
        """Store a refusal, which has no voxels, as the part at a position of the run."""
        with _Replacing(self.part(position)) as temporary, h5py.File(temporary, "w") as file:
            _write_texts(file, schema.REFUSED, [to_json(record)])
            self._finish(file)

    def stored(self) -> tuple[int, int]:
        """Return how many samples and refusals are on disk."""
        samples = refused = 0
        for part in self._part_files():
            with h5py.File(part, "r") as file:
                samples += len(file[schema.SAMPLES]) if schema.SAMPLES in file else 0
                refused += len(file[schema.REFUSED]) if schema.REFUSED in file else 0
        return samples, refused

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

    def _assemble(self) -> None:
        refused: list[str] = []
        with _Replacing(self.path) as temporary, h5py.File(temporary, "w") as file:
            samples = file.create_group(schema.SAMPLES)
            order: list[str] = []
            for part_path in self._part_files():
                with h5py.File(part_path, "r") as part:
                    for sample_id, group in part.get(schema.SAMPLES, {}).items():
                        if sample_id in samples:
                            raise CohortFileError(
                                f"sample {sample_id} is given twice; ids must be unique"
                            )
                        part.copy(group, samples, name=sample_id)
                        order.append(sample_id)
                    if schema.REFUSED in part:
                        refused.extend(part[schema.REFUSED].asstr()[()])
            if refused:
                _write_texts(file, schema.REFUSED, refused)
            self._finish(file, order)

    def _finish(self, file: h5py.File, order: Sequence[str] | None = None) -> None:
        samples = file.require_group(schema.SAMPLES)
        write_json(file, schema.RUN, self._run)
        groups = [samples[name] for name in (samples if order is None else order)]
        _write_table(file.create_group(schema.TABLE), groups)
        file.attrs["format"] = schema.FORMAT
        file.attrs["format_version"] = schema.FORMAT_VERSION
        file.attrs["qctkit_version"] = qctkit.__version__
        file.attrs["window_low_hu"] = self._window.low_hu
        file.attrs["window_high_hu"] = self._window.high_hu
        file.attrs["fingerprint"] = _fingerprint(groups)


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


def _write_table(table: h5py.Group, samples: Sequence[h5py.Group]) -> None:
    rows = [_row(group) for group in samples]
    for column, name in enumerate(schema.TABLE_COLUMNS):
        values = [row[column] for row in rows]
        if name in {"age_years", "weight_kg"}:
            table.create_dataset(name, data=np.array(values, dtype=np.float64))
        elif name in {"depth", "height", "width"}:
            table.create_dataset(name, data=np.array(values, dtype=np.int64))
        else:
            _write_texts(table, name, [str(value) for value in values])


def _row(group: h5py.Group) -> tuple[object, ...]:
    subject = read_subject(group)
    source = subject.subject_id
    if schema.SYNTHESIS in group:
        source = read_json(group, schema.SYNTHESIS)["source_subject_id"]
    return (
        group.attrs["sample_id"],
        subject.subject_id,
        source,
        subject.sex or "",
        np.nan if subject.age_years is None else subject.age_years,
        np.nan if subject.weight_kg is None else subject.weight_kg,
        group.attrs["side"],
        group.attrs["unit"],
        *group[schema.VOLUME].shape,
    )


def _write_texts(group: h5py.Group, name: str, texts: Sequence[str]) -> None:
    group.create_dataset(name, (len(texts),), dtype=h5py.string_dtype(), data=list(texts))


def _fingerprint(samples: Sequence[h5py.Group]) -> str:
    digest = hashlib.sha256()
    for group in samples:
        digest.update(str(group.attrs["sha256"]).encode())
        subject = read_subject(group)
        digest.update(repr((subject.subject_id, *map(subject.value, _LABELS))).encode())
    return digest.hexdigest()


_LABELS = ("sex", "age_years", "weight_kg")
