from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from qctkit.cohort import Sample
from qctkit.engine.targets import Target
from qctkit.errors import CohortFileError, ReplayError
from qctkit.pipeline.augment import AugmentOptions, augment
from qctkit.pipeline.replay import Replayer, check_replays, write_replayed
from qctkit.pipeline.resample import resample
from qctkit.predictors.trained import PredictorSet
from qctkit.progress import Silent
from qctkit.registry import load_registry
from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter
from tests.pipeline.density_loop import DENSITY_LOOP

REGISTRY = load_registry()


EDITS = [("density-field",), ("voxel",), ("density-field", "morph", "soft-tissue")]


@pytest.fixture(scope="module", params=EDITS, ids="+".join)
def made(
    request: pytest.FixtureRequest,
    real: CohortFile,
    trained: Callable[..., PredictorSet],
    tmp_path_factory: pytest.TempPathFactory,
) -> CohortFile:
    """Return samples of some edits, asked to be ten years older."""
    recipe = replace(
        DENSITY_LOOP,
        edits=request.param,
        validators=(),
        steps=8,
    )
    targets = tuple(
        Target(one, {"age_years": (real.subject(one).age_years or 0.0) + 10.0})
        for one in real.sample_ids[:3]
    )
    path = tmp_path_factory.mktemp("made") / "made.h5"
    options = AugmentOptions(3, seed=3, targets=targets)
    augment(real, recipe, trained(), REGISTRY, options, path, Silent())
    found = CohortFile(path)
    assert len(found) == 3
    return found


def replayer(made: CohortFile, real: CohortFile) -> Replayer:
    return Replayer(made, real, REGISTRY)


def rewritten(
    made: CohortFile, path: Path, record: Mapping[str, Any], voxel: float | None = None
) -> CohortFile:
    """Write the first sample with another record and perhaps another voxel."""
    sample = next(iter(made))
    assert sample.synthesis is not None
    synthesis = replace(sample.synthesis, record={**sample.synthesis.record, **record})
    voxels = sample.volume.voxels.copy()
    if voxel is not None:
        voxels[0, 0, 0] = voxel
    with CohortWriter(path, made.run, window=made.window) as writer:
        volume = sample.volume.with_voxels(voxels)
        writer.add(0, replace(sample, volume=volume, synthesis=synthesis))
    return CohortFile(path)


def test_samples_come_out_with_the_checksums_that_are_stored(
    made: CohortFile, real: CohortFile, tmp_path: Path
) -> None:
    path = tmp_path / "again.h5"
    again = write_replayed(replayer(made, real), made.sample_ids, path, Silent())
    assert again.fingerprint == made.fingerprint
    assert list(again.table["sha256"]) == list(made.table["sha256"])


def test_a_replay_is_of_the_record_not_of_the_stored_voxels(
    made: CohortFile, real: CohortFile, tmp_path: Path
) -> None:
    changed = rewritten(made, tmp_path / "changed.h5", {}, voxel=77.0)
    with pytest.raises(ReplayError, match=r"volume: 1 voxels differ.*Its versions are those of"):
        replayer(changed, real).replay(changed.sample_ids[0])


def test_other_versions_that_give_the_same_bytes_do_no_harm(
    made: CohortFile, real: CohortFile, tmp_path: Path
) -> None:
    older = rewritten(made, tmp_path / "older.h5", {"versions": {"torch": "1.0"}})
    assert replayer(older, real).replay(older.sample_ids[0])


def test_where_it_comes_out_otherwise_the_versions_that_differ_are_named(
    made: CohortFile, real: CohortFile, tmp_path: Path
) -> None:
    versions = {**made.run["versions"], "torch": "1.0"}
    older = rewritten(made, tmp_path / "older.h5", {"versions": versions}, voxel=77.0)
    problems = check_replays(replayer(older, real), older.sample_ids, Silent())
    (problem,) = problems.values()
    assert "made with torch 1.0 (here" in problem
    assert "numpy" not in problem


def test_an_edit_that_is_not_installed_is_named(
    made: CohortFile, real: CohortFile, tmp_path: Path
) -> None:
    other = rewritten(made, tmp_path / "other.h5", {"edits": ["shrink-ray"]})
    with pytest.raises(ReplayError, match="'shrink-ray'"):
        replayer(other, real).replay(other.sample_ids[0])


def test_another_cohort_is_no_source(made: CohortFile, real: CohortFile) -> None:
    with pytest.raises(CohortFileError, match="--source"):
        replayer(made, made)
    with pytest.raises(CohortFileError, match="no made samples"):
        replayer(real, real)


def test_on_a_finer_grid_the_same_change_is_made(made: CohortFile, real: CohortFile) -> None:
    stored = made.load(made.sample_ids[0])
    assert stored.synthesis is not None
    source = real.load(stored.synthesis.source_sample_id)
    d_mm, h_mm, w_mm = (mm / 2 for mm in source.volume.spacing_mm)
    fine = replayer(made, real).replay(stored.sample_id, (d_mm, h_mm, w_mm))
    fine_source = resample(source, (d_mm, h_mm, w_mm))
    assert fine.volume.geometry.matches(fine_source.volume.geometry)
    assert fine.subject == stored.subject
    change = _change(stored, source)
    # Eight voxels of the replay lie where the source has one.
    d, h, w = change.shape
    fine_change = _change(fine, fine_source).reshape(d, 2, h, 2, w, 2).mean(axis=(1, 3, 5))
    inside = ndimage.binary_erosion(source.femur.voxels)
    # An edge that moves is as sharp as its grid shows it, so that a voxel says less than a few.
    about, fine_about = (ndimage.gaussian_filter(one, 1.0) for one in (change, fine_change))
    assert np.corrcoef(about[inside], fine_about[inside])[0, 1] > 0.95
    size = np.sqrt(np.mean(change[inside] ** 2))
    assert abs((fine_change - change)[inside].mean()) < 0.1 * size


def _change(sample: Sample, source: Sample) -> np.ndarray:
    return sample.volume.voxels.astype(float) - source.volume.voxels


def test_a_replay_on_another_grid_says_so_and_is_not_replayed_again(
    made: CohortFile, real: CohortFile, tmp_path: Path
) -> None:
    path = tmp_path / "coarse.h5"
    first = made.sample_ids[:1]
    coarse = write_replayed(replayer(made, real), first, path, Silent(), spacing_mm=(8.0, 6.0, 6.0))
    sample = coarse.load(first[0])
    assert sample.synthesis is not None
    note = sample.synthesis.record["replayed"]
    assert note["spacing_mm"] == pytest.approx([8.0, 6.0, 6.0])
    assert note["of_sha256"] == made.row(first[0])["sha256"]
    with pytest.raises(ReplayError, match="source's own grid"):
        replayer(coarse, real).replay(first[0])
