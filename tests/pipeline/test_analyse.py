"""The cohort figures, from files of scans to sentences."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qctkit.analysis.measures import REGIONS
from qctkit.cohort import Sample, Synthesis
from qctkit.errors import CohortFileError
from qctkit.pipeline.analyse import Analysis, analyse, augmented, made_yield
from qctkit.pipeline.measure import measure_sample
from qctkit.pipeline.simulate import simulate
from qctkit.progress import Silent
from qctkit.simulate import SimulationSettings
from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter

SUBJECTS = 7
ADDED_HU = 40.0


def _made(source: Sample) -> Sample:
    """Return a sample whose femur is denser by a stated amount than its source's."""
    voxels = source.volume.voxels + np.int16(ADDED_HU) * source.femur.voxels
    return replace(
        source,
        sample_id=f"{source.sample_id}-a",
        volume=source.volume.with_voxels(voxels),
        synthesis=Synthesis(source.sample_id, source.subject.subject_id, source.femur.voxels, {}),
    )


def _refusal(*failed: str) -> dict[str, Any]:
    verdicts = [{"validator": name, "passed": name not in failed} for name in ("a", "b")]
    return {"candidate_id": "candidate-00001", "verdicts": verdicts}


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> tuple[CohortFile, CohortFile]:
    folder = tmp_path_factory.mktemp("analyse")
    settings = SimulationSettings((4.0, 3.0, 3.0))
    real = simulate(folder / "real.h5", Silent(), subjects=SUBJECTS, settings=settings)
    with CohortWriter(folder / "made.h5", {"command": "augment"}) as writer:
        for number, source in enumerate(real):
            writer.add(number, _made(source))
        for number, failed in enumerate((("a",), ("a", "b"), ())):
            writer.refuse(SUBJECTS + number, _refusal(*failed))
    return CohortFile(folder / "made.h5"), real


@pytest.fixture(scope="module")
def analysis(cohorts: tuple[CohortFile, CohortFile]) -> Analysis:
    return analyse(*cohorts, Silent())


def test_what_was_added_is_the_change_from_the_source(analysis: Analysis) -> None:
    changes = {one.measure.name: one.change for one in analysis.density.measures}
    for name in ("trabecular_hu", "cortical_hu", "trabecular_head_hu", "cortical_neck_hu"):
        change = changes[name]
        assert change is not None
        assert change.value == pytest.approx(ADDED_HU)
        assert change.high == pytest.approx(ADDED_HU)
    volume = changes["volume_cm3"]
    assert volume is not None
    assert volume.value == 0.0


def test_regions_share_out_the_femur(analysis: Analysis) -> None:
    real = analysis.density.real.figures
    parts = sum(real[f"volume_{region}_cm3"] for region in REGIONS)
    assert (parts / real["volume_cm3"]).min() > 0.97
    assert (real["trabecular_head_hu"] > real["trabecular_trochanter_hu"]).all()
    assert (real["cortical_thickness_shaft_mm"] > real["cortical_thickness_neck_superior_mm"]).all()


def test_mg_cm3_follows_the_calibration(
    analysis: Analysis, cohorts: tuple[CohortFile, CohortFile]
) -> None:
    line = cohorts[1].calibration(cohorts[1].sample_ids[0])
    assert line is not None
    figures = analysis.density.real.figures
    expected = line.density_mg_cm3(figures["trabecular_hu"])
    assert figures["trabecular_mg_cm3"] == pytest.approx(expected, rel=1e-5)


def test_the_record_is_json_without_a_hole(analysis: Analysis) -> None:
    record = json.loads(json.dumps(analysis.record(), allow_nan=False))
    assert [one["made"] for one in record["density"]["samples"]] == [False] * 7 + [True] * 7
    assert {one["measure"] for one in record["density"]["relations"]} == {
        "trabecular_hu", "cortical_hu", "bone_band_peak_hu",
    }  # fmt: skip
    bins = record["density"]["band"]["centres_hu"]
    assert len(record["density"]["samples"][0]["histogram"]) == len(bins)
    assert {"made", "real_against_real", "affine_and_noise"} <= set(record["realism"]["figures"][0])


def test_few_subjects_get_no_classifier_and_are_told_so(analysis: Analysis) -> None:
    assert analysis.realism is not None
    assert analysis.realism.figures["classifier_auc"]["made"] is None
    assert any("too few" in words for words in analysis.words)


def test_the_study_is_answered_for_this_cohort(analysis: Analysis) -> None:
    assert any("the peak moves right as weight falls: real" in words for words in analysis.words)
    assert any("partial" in words or "part cortex" in words for words in analysis.words)


def test_made_samples_lie_nearer_to_their_source_than_to_others(analysis: Analysis) -> None:
    assert analysis.realism is not None
    near = analysis.realism.near
    assert (near.to_source < near.to_other).all()
    assert (near.to_source > 0).all()


def test_the_yield_names_what_refused(cohorts: tuple[CohortFile, CohortFile]) -> None:
    found = made_yield(cohorts[0])
    assert found.refused_by == {"a": 2, "b": 1, "edit-limits": 1}
    assert found.words.startswith("7 of 10 accepted, 2 refused by a, 1 refused by b")


def test_real_and_made_files_in_each_others_place_are_refused(
    cohorts: tuple[CohortFile, CohortFile],
) -> None:
    made, real = cohorts
    with pytest.raises(CohortFileError, match="holds real scans"):
        analyse(real, real, Silent())
    with pytest.raises(CohortFileError, match="holds made samples"):
        analyse(made, made, Silent())


def test_a_right_femur_measures_as_its_mirror_image(
    cohorts: tuple[CohortFile, CohortFile],
) -> None:
    left = cohorts[1].load(cohorts[1].sample_ids[0])
    right = _mirrored(left)
    one, other = (measure_sample(sample, cohorts[1].window, look=True) for sample in (left, right))
    assert other.figures == pytest.approx(one.figures, rel=1e-3)
    assert one.block is not None
    assert np.array_equal(one.block, other.block)


def test_usual_augmentation_is_the_same_for_the_same_seed(
    cohorts: tuple[CohortFile, CohortFile],
) -> None:
    sample = cohorts[1].load(cohorts[1].sample_ids[0])
    one, other = (augmented(sample, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(one.volume.voxels, other.volume.voxels)


def _mirrored(sample: Sample) -> Sample:
    """Return the sample in a mirror: left becomes right, its world mirrored in the midline."""
    geometry = sample.volume.geometry
    affine = np.diag([-1.0, 1.0, 1.0, 1.0]) @ geometry.affine
    volume = replace(sample.volume, geometry=replace(geometry, affine=affine))
    right = type(sample.femur.side)("right")
    return replace(sample, volume=volume, femur=replace(sample.femur, side=right))


def test_only_density_can_be_asked_for(
    cohorts: tuple[CohortFile, CohortFile], tmp_path: Path
) -> None:
    made, real = cohorts
    few = tmp_path / "few.h5"
    with CohortWriter(few, {"command": "augment"}) as writer:
        writer.add(0, made.load(made.sample_ids[0]))
    found = analyse(CohortFile(few), real, Silent(), realism=False)
    assert found.realism is None
    assert found.record()["realism"] is None
