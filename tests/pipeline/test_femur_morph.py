"""``femur-morph`` on ten simulated subjects, from the cohort's atlas to the file and back."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qctkit.cli.main import run
from qctkit.cohort import Sample
from qctkit.contracts import Role
from qctkit.engine.effects import FEWEST
from qctkit.engine.targets import Target
from qctkit.errors import InputError
from qctkit.pipeline.augment import AugmentOptions, augment
from qctkit.pipeline.augment_cohort import learn
from qctkit.pipeline.replay import Replayer
from qctkit.pipeline.verify import verify
from qctkit.predictors.physical import PhysicalFamily
from qctkit.predictors.skill import Response, Skill
from qctkit.predictors.trained import PredictorSet, TrainedPredictor
from qctkit.predictors.training import see_cohort
from qctkit.progress import Silent
from qctkit.registry import load_registry
from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter
from qctkit.view import View, spacing_of
from tests.pipeline.conftest import ATTRIBUTES

REGISTRY = load_registry(())
RECIPE = replace(REGISTRY.recipe("femur-morph"), validators=(), steps=3)
VIEW = View((14, 10, 14), spacing_of(6.0))

Make = Callable[..., CohortFile]


@pytest.fixture(scope="module")
def predictors(
    real: CohortFile,
    trained: Callable[..., PredictorSet],
    tmp_path_factory: pytest.TempPathFactory,
) -> PredictorSet:
    """Return the physical model of a coarse view, whose skill is planted, and a reader."""
    family = PhysicalFamily(view=VIEW)
    seen = see_cohort(real, tmp_path_factory.mktemp("views"), VIEW)
    module = family.fit(seen.data, ATTRIBUTES, seed=0)
    skill = Skill(10, {"r2": 0.6, "rmse": 9.0}, Response(0.6, 0.0, 9.0), 0.5)
    skills = dict.fromkeys(ATTRIBUTES, skill)
    driver = TrainedPredictor(
        family.name, family.name, Role.LOOP, ATTRIBUTES, VIEW, module, skills, {}
    )
    return replace(trained(), predictors=(driver, *trained().predictors))


@pytest.fixture(scope="module")
def make(real: CohortFile, predictors: PredictorSet) -> Make:
    """Make samples: one subject of the other sex and ten kilograms heavier, one older."""
    first, second = (real.subject(one) for one in real.sample_ids[:2])
    targets = (
        Target(
            real.sample_ids[0],
            {"sex": 1.0 - first.value("sex"), "weight_kg": first.weight_kg + 10.0},
        ),
        Target(real.sample_ids[1], {"age_years": second.age_years + 10.0}),
    )
    options = AugmentOptions(2, seed=3, targets=targets)

    def make(path: Path, **how: bool) -> CohortFile:
        augment(real, RECIPE, predictors, REGISTRY, options, path, Silent(), **how)
        return CohortFile(path)

    return make


@pytest.fixture(scope="module")
def made(make: Make, tmp_path_factory: pytest.TempPathFactory) -> CohortFile:
    return make(tmp_path_factory.mktemp("morph") / "made.h5")


def _pairs(made: CohortFile, real: CohortFile) -> list[tuple[Sample, Sample]]:
    pairs = [(one, real.load(one.provenance["source_sample_id"])) for one in made]
    assert len(pairs) == 2
    return pairs


def test_all_three_attributes_are_carried_and_labels_are_what_was_asked(
    made: CohortFile, real: CohortFile
) -> None:
    assert [one["attribute"] for one in made.run["carrying"] if one["carried"]] == [*ATTRIBUTES]
    (first, its_source), (second, other_source) = _pairs(made, real)
    assert first.subject.sex != its_source.subject.sex
    assert first.subject.weight_kg == its_source.subject.weight_kg + 10.0
    assert first.subject.age_years == its_source.subject.age_years
    assert second.subject.age_years == other_source.subject.age_years + 10.0
    assert second.subject.sex == other_source.subject.sex


def test_bone_and_soft_tissue_change_in_the_region_alone(
    made: CohortFile, real: CohortFile
) -> None:
    for sample, source in _pairs(made, real):
        changed = sample.volume.voxels != source.volume.voxels
        assert changed[source.femur.voxels].mean() > 0.5
        assert changed[sample.synthesis.region & ~source.femur.voxels].mean() > 0.2
        assert not changed[~sample.synthesis.region].any()


def test_who_changes_sex_has_another_femur_and_the_other_keeps_most_of_it(
    made: CohortFile, real: CohortFile
) -> None:
    (moved, still) = (
        (sample.femur.voxels ^ source.femur.voxels).sum() / source.femur.voxels.sum()
        for sample, source in _pairs(made, real)
    )
    assert moved > still


def test_the_start_is_kept_with_what_the_loop_found(made: CohortFile) -> None:
    for sample in made:
        parameters = sample.synthesis.parameters
        assert np.abs(parameters["cohort-shape.velocity_mm"]).max() > 0.05
        assert np.abs(parameters["cohort-tissue.added_hu"]).max() > 1.0
        assert np.abs(parameters["density-field.shift_hu"]).max() > 0.0
        assert (parameters["soft-tissue.velocity_mm"] == 0.0).all()  # held
        assert sample.synthesis.record["figures"]["cohort-shape.least_determinant"] > 0.0


def test_the_file_is_sound(made: CohortFile, real: CohortFile) -> None:
    assert verify(made, Silent(), against=[real]).good


def test_samples_replay_to_the_same_bytes(made: CohortFile, real: CohortFile) -> None:
    replayer = Replayer(made, real, REGISTRY)
    for sample_id in made.sample_ids:
        replayer.replay(sample_id)  # raises where a byte differs


def test_an_interrupted_run_resumes_to_the_same_bytes(
    make: Make, made: CohortFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = CohortWriter.take

    def interrupted(writer: CohortWriter, position: int) -> None:
        take(writer, position)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(CohortWriter, "take", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path / "made.h5")
    resumed = make(tmp_path / "made.h5", resume=True)
    assert resumed.path.read_bytes() == made.path.read_bytes()


def test_too_few_subjects_are_refused_in_one_line_and_nothing_is_written(
    real: CohortFile,
    predictors: PredictorSet,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    few = tmp_path / "few.h5"
    with CohortWriter(few, real.run, window=real.window) as writer:
        for position, sample_id in enumerate(real.sample_ids[: FEWEST - 1]):
            writer.add(position, real.load(sample_id))
    (tmp_path / "predictors").mkdir()
    predictors.save(tmp_path / "predictors")
    before = sorted(tmp_path.rglob("*"))
    given = ("--predictors", f"{tmp_path}/predictors", "-o", f"{tmp_path}/made.h5")
    assert run(["augment", f"{few}", "--plugin", "femur-morph", *given]) == 2
    error = capsys.readouterr().err
    assert f"at least {FEWEST} subjects, and {FEWEST - 1} of" in error
    assert error.count("Error:") == 1
    assert "Traceback" not in error
    assert sorted(tmp_path.rglob("*")) == before


def test_two_hips_of_a_person_count_as_one_subject(
    real: CohortFile, predictors: PredictorSet, tmp_path: Path
) -> None:
    few = tmp_path / "hips.h5"
    with CohortWriter(few, real.run, window=real.window) as writer:
        for position, sample_id in enumerate((*real.sample_ids[: FEWEST - 1], real.sample_ids[0])):
            sample = real.load(sample_id)
            writer.add(position, replace(sample, sample_id=f"{sample_id}-{position}"))
    (driver,) = predictors.of_role(Role.LOOP)[:1]
    with pytest.raises(InputError, match=f"and {FEWEST - 1} of"):
        learn(CohortFile(few), RECIPE, (driver,), VIEW, Silent())


def test_both_hips_of_a_source_are_left_out_of_what_is_said_of_it(
    real: CohortFile, predictors: PredictorSet, tmp_path: Path
) -> None:
    hips = tmp_path / "hips.h5"
    with CohortWriter(hips, real.run, window=real.window) as writer:
        for position, sample_id in enumerate((real.sample_ids[3], *real.sample_ids[:FEWEST])):
            sample = real.load(sample_id)
            writer.add(position, replace(sample, sample_id=f"{sample_id}-{position}"))
    (driver,) = predictors.of_role(Role.LOOP)[:1]
    learned = learn(CohortFile(hips), RECIPE, (driver,), VIEW, Silent())
    assert learned is not None
    own = learned.rows[real.subject(real.sample_ids[3]).subject_id]
    assert own == (0, 4)
    assert set(learned.atlas.design.without(own).rows) == {1, 2, 3, 5, 6, 7, 8}
