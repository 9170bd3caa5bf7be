"""``qctkit replay``: a made sample once more, from its record and its source."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from qctkit import schema
from qctkit.cohort import REPLAYED, Record, Sample, Synthesis
from qctkit.contracts import Edit, Transform
from qctkit.engine.edits.composition import compose
from qctkit.engine.render import render
from qctkit.engine.targets import Target
from qctkit.errors import CohortFileError, PluginError, ReplayError
from qctkit.frame import FemurFrame, locate
from qctkit.geometry import Triple
from qctkit.networks import one_thread
from qctkit.pipeline.augment_record import TRANSFORM, TRANSFORM_SEED
from qctkit.pipeline.needed_plugins import refuse_without_plugins
from qctkit.pipeline.resample import resample
from qctkit.pipeline.transformed import rendered
from qctkit.pipeline.versions import versions
from qctkit.predictors.onnx_description import view_of
from qctkit.progress import Progress
from qctkit.registry import Registry
from qctkit.store.encode import Encoded, encode
from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter
from qctkit.subject import SEX, Sex, Subject
from qctkit.view import View

HOW = (
    "the source was resampled (linear, low-passed where coarser) and edited there; readings and "
    "verdicts are those of the sample at its source's resolution"
)


@dataclass(frozen=True, eq=False)
class _Making:
    """All that decides the voxels of a made sample, beside its parameters."""

    source: Sample
    edit: Edit
    frame: FemurFrame
    view: View
    transform: Transform | None = None


class Replayer:
    """Makes stored samples again.

    A sample is first made at its source's resolution and compared with what is stored, byte for
    byte: that the versions and plugins of today do what those of its record did is shown, never
    assumed. At another resolution the source is resampled and the same edit applied to it, since
    an edit's parameters know no voxel grid.

    Attributes:
        made: the file whose samples are made again.
        real: the cohort that they were made from.

    Raises:
        CohortFileError: the file holds no made samples, or was made from another cohort.
        PluginError: a plugin that made the file is missing.
    """

    def __init__(self, made: CohortFile, real: CohortFile, registry: Registry) -> None:
        if "cohort_fingerprint" not in made.run:
            raise CohortFileError(
                f"{made.path} holds no made samples; give a file of `qctkit augment`"
            )
        if made.run["cohort_fingerprint"] != real.fingerprint:
            raise CohortFileError(
                f"{made.path} was not made from {real.path}; give --source the cohort it came from"
            )
        refuse_without_plugins(made, registry)
        self.made, self.real, self._registry = made, real, registry

    def replay(self, sample_id: str, spacing_mm: Triple | None = None) -> Sample:
        """Return a sample made again, at its own or another resolution.

        Raises:
            ReplayError: it comes out otherwise than it is stored, or cannot be made here.
            CohortFileError: there is no such sample, or it is damaged.
        """
        stored = self.made.load(sample_id)
        if stored.synthesis is None or REPLAYED in stored.synthesis.record:
            raise ReplayError(
                f"{sample_id} was not made by a recipe on its source's own grid; replay a sample "
                "as `qctkit augment` wrote it"
            )
        making = self._making(sample_id, stored.synthesis)
        with one_thread():
            again = _make(stored, stored.synthesis, making)
            _refuse_another(stored, again, stored.synthesis.record)
            if spacing_mm is None:
                return again
            resampled = replace(making, source=resample(making.source, spacing_mm))
            return _make(stored, self._noted(sample_id, stored.synthesis, resampled), resampled)

    def _noted(self, sample_id: str, synthesis: Synthesis, making: _Making) -> Synthesis:
        """Return a synthesis whose record says that the sample lies on another grid."""
        note = {
            "of_sha256": str(self.made.row(sample_id)[schema.SHA256]),
            "spacing_mm": list(making.source.volume.spacing_mm),
            "how": HOW,
        }
        return replace(synthesis, record={**synthesis.record, REPLAYED: note})

    def _making(self, sample_id: str, synthesis: Synthesis) -> _Making:
        """Return what made a sample.

        Raises:
            ReplayError: the record does not say, or its edit is not installed.
        """
        record = synthesis.record
        if "edits" not in record or "view" not in record:
            raise ReplayError(
                f"{sample_id} was made before edits and views were recorded; make the run again "
                "with `qctkit augment` and its seed"
            )
        try:
            edit = compose([self._registry.edit(name) for name in record["edits"]])
            name = record.get(TRANSFORM)
            transform = self._registry.transform(name) if name else None
        except PluginError as error:
            raise ReplayError(
                f"{sample_id} cannot be made without its edit: {error}; install the plugin that "
                "brings it"
            ) from error
        source = self.real.load(synthesis.source_sample_id)
        frame = locate(source.femur, source.volume.geometry)
        return _Making(source, edit, frame, view_of(record["view"]), transform)


def write_replayed(
    replayer: Replayer,
    sample_ids: Sequence[str],
    output: Path,
    progress: Progress,
    *,
    spacing_mm: Triple | None = None,
    overwrite: bool = False,
) -> CohortFile:
    """Write samples made again as a cohort file and return it; on an error nothing is written.

    Raises:
        ReplayError: a sample comes out otherwise than it is stored.
        OutputExistsError: the output is there and ``overwrite`` is not set.
    """
    made = replayer.made
    run = {**made.run, "replay": {"of": made.fingerprint, "spacing_mm": spacing_mm}}
    with (
        CohortWriter(output, run, window=made.window, overwrite=overwrite) as writer,
        progress.task("replaying samples", len(sample_ids)) as task,
    ):
        for position, sample_id in enumerate(sample_ids):
            writer.add(position, replayer.replay(sample_id, spacing_mm))
            task.advance(sample_id)
    return CohortFile(output)


def check_replays(
    replayer: Replayer, sample_ids: Sequence[str], progress: Progress
) -> dict[str, str]:
    """Return, for each sample, in words why it does not come out the same; empty where it does."""
    problems = {}
    with progress.task("replaying samples", len(sample_ids)) as task:
        for sample_id in sample_ids:
            try:
                replayer.replay(sample_id)
                problems[sample_id] = ""
            except (ReplayError, CohortFileError) as error:
                problems[sample_id] = str(error)
            task.advance(sample_id)
    return problems


def _make(stored: Sample, synthesis: Synthesis, making: _Making) -> Sample:
    """Return the sample that the record's parameters make of a source."""
    source, edit, frame, view = making.source, making.edit, making.frame, making.view
    if making.transform is not None:
        made, region, _ = rendered(making.transform, source, synthesis.record[TRANSFORM_SEED])
    else:
        parameters = {
            name: torch.from_numpy(np.array(one)) for name, one in synthesis.parameters.items()
        }
        region = edit.region(source, frame, view)
        made = render(source, edit, parameters, region, frame, view)
    return replace(
        stored,
        subject=_label(synthesis.record, source.subject),
        volume=made.volume,
        femur=made.femur,
        synthesis=replace(synthesis, region=region),
    )


def _label(record: Record, source: Subject) -> Subject:
    values = {
        name: Sex(value).code if name == SEX.name else float(value)
        for name, value in record["targets"].items()
        if value is not None
    }
    return Target(record["source_sample_id"], values).label(source, record["carried"])


def _refuse_another(stored: Sample, again: Sample, record: Record) -> None:
    """Refuse a sample that is not the stored one to the last byte."""
    before, now = encode(stored), encode(again)
    if before.checksum() != now.checksum():
        raise ReplayError(
            f"{stored.sample_id} comes out otherwise here "
            f"({'; '.join(_differences(before, now))}). {_suspects(record)}"
        )


def _differences(before: Encoded, now: Encoded) -> Iterator[str]:
    """Give in words what of two stored samples is not the same."""
    for name, voxels in before.images.items():
        other = now.images[name]
        if voxels.shape != other.shape:
            yield f"{name}: shape {voxels.shape}, here {other.shape}"
        elif not np.array_equal(voxels, other):
            apart = np.abs(voxels.astype(np.float64) - other)
            yield f"{name}: {int((apart > 0).sum())} voxels differ, by up to {apart.max():g}"
    names = sorted(before.attributes.keys() | now.attributes.keys())
    yield from (
        f"{name} is another"
        for name in names
        if not np.array_equal(before.attributes.get(name, ""), now.attributes.get(name, ""))
    )


def _suspects(record: Record) -> str:
    """Return what may be the reason: other versions than those of the record."""
    here, then = versions(), record.get("versions", {})
    other = [
        f"{name} {then.get(name, 'absent')} (here {here.get(name, 'absent')})"
        for name in sorted(here.keys() | then.keys())
        if here.get(name) != then.get(name)
    ]
    if not other:
        return (
            "Its versions are those of today: it was changed since it was made, or made on "
            "another kind of processor"
        )
    return f"It was made with {', '.join(other)}; replay it with those versions"
