import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from qctkit.cohort import Sample
from qctkit.contracts import PredictorFamily, Role, TrainingData
from qctkit.errors import PredictorError
from qctkit.networks import Schedule, train
from qctkit.predictors.density import DensityFamily, DensityFeatures
from qctkit.predictors.fit_store import Fit, FitStore
from qctkit.predictors.folds import subject_folds
from qctkit.predictors.network import NetworkFamily, network_families
from qctkit.predictors.physical import PhysicalFamily
from qctkit.predictors.skill import skill_of
from qctkit.predictors.slice_split import Split, slice_figures
from qctkit.predictors.trained import PredictorSet, load_predictors
from qctkit.predictors.training import (
    SeenCohort,
    TrainingSettings,
    see_cohort,
    teachable,
    train_predictors,
)
from qctkit.subject import Sex, Subject
from qctkit.view import View, spacing_of

QUICK = Schedule(epochs=2)
SMALL = View((20, 16, 16), spacing_of(6.0))
FAMILIES: dict[str, PredictorFamily] = {
    one.name: one
    for one in (
        DensityFamily(view=SMALL),
        PhysicalFamily(view=SMALL),
        *(replace(one, schedule=QUICK, view=SMALL) for one in network_families()),
    )
}
families = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


@pytest.fixture(scope="module")
def seen(
    people: tuple[Sample, ...], small_view: View, tmp_path_factory: pytest.TempPathFactory
) -> SeenCohort:
    return see_cohort(people, tmp_path_factory.mktemp("views"), small_view)


@pytest.fixture(scope="module")
def trained(seen: SeenCohort) -> PredictorSet:
    settings = TrainingSettings(folds=3)
    return train_predictors(seen, list(FAMILIES.values()), settings, {"seed": 0}, lambda _: None)


def _subjects(females: int, males: int, scans: int = 1) -> list[Subject]:
    return [
        Subject(f"{sex}{i}", sex, 50.0 + i)
        for sex, count in ((Sex.F, females), (Sex.M, males))
        for i in range(count)
        for _ in range(scans)
    ]


@pytest.mark.parametrize(
    ("females", "males", "folds"), [(2, 2, 5), (2, 9, 5), (8, 2, 2), (6, 6, 3)]
)
def test_folds_keep_a_subject_together_and_both_sexes_in_training(
    females: int, males: int, folds: int
) -> None:
    subjects = _subjects(females, males, scans=2)
    held_out = subject_folds(subjects, folds)
    assert sorted(row for fold in held_out for row in fold) == list(range(len(subjects)))
    for fold in held_out:
        kept = [one for row, one in enumerate(subjects) if row not in fold]
        assert {subjects[row].subject_id for row in fold}.isdisjoint(s.subject_id for s in kept)
        assert {one.sex for one in kept} == {Sex.F, Sex.M}


def test_folds_are_balanced_in_sex_age_and_weight() -> None:
    worst = []
    for seed in range(10):
        drawn = np.random.default_rng(seed).uniform((40, 45), (90, 110), (30, 2))
        subjects = [
            Subject(f"S{i}", Sex.M if i % 2 else Sex.F, float(age), float(weight))
            for i, (age, weight) in enumerate(drawn)
        ]
        held_out = subject_folds(subjects, 5)
        assert all(sum(subjects[row].sex is Sex.F for row in fold) == 3 for fold in held_out)
        off = [np.abs(drawn[fold].mean(axis=0) - drawn.mean(axis=0)) for fold in held_out]
        worst.append(np.max(off, axis=0))
    # The worst of five folds drawn at random is 8 years and 10 kg off.
    assert (np.mean(worst, axis=0) < 4.0).all()


def test_three_subjects_are_too_few_to_hold_any_out() -> None:
    with pytest.raises(PredictorError, match="at least 4 subjects"):
        subject_folds(_subjects(1, 2, scans=4), 5)


def test_planted_readings_give_their_line_and_r2() -> None:
    true = np.linspace(40.0, 90.0, 30)
    skill = skill_of("continuous", true, 30.0 + 0.5 * true, [str(i) for i in range(30)])
    assert (skill.response.slope, skill.response.intercept) == pytest.approx((0.5, 30.0))
    assert skill.response.expected_change(10.0) == pytest.approx(5.0)
    expected = 1 - np.mean((30.0 - 0.5 * true) ** 2) / true.var()
    assert skill.figures["r2"] == pytest.approx(expected)
    assert skill.r2_low is not None
    assert skill.r2_low < expected


def test_reading_the_mean_is_no_skill_and_unknown_values_do_not_count() -> None:
    true = np.array([1.0, 2.0, 3.0, np.nan])
    skill = skill_of("continuous", true, np.full(4, 2.0), list("abcd"))
    assert (skill.subjects, skill.figures["r2"], skill.response.slope) == (3, 0.0, 0.0)


def test_planted_logits_give_their_confusion_matrix() -> None:
    true, read = np.array([0, 0, 0, 1, 1.0]), np.array([-1.0, -2, 3, 4, -0.5])
    figures = skill_of("binary", true, read, list("abcde")).figures
    assert [figures[f"true_{a}_read_{b}"] for a in "fm" for b in "fm"] == [2, 1, 1, 1]
    assert figures["accuracy"] == pytest.approx(0.6)


def test_density_features_follow_the_hu(people: tuple[Sample, ...], tmp_path: Path) -> None:
    features, images = DensityFeatures(), see_cohort(people[:2], tmp_path, View()).data.images[:]
    before = features(images)
    more = images.clone()
    more[:, 0] += 100.0
    torch.testing.assert_close(features(more)[:, :4], before[:, :4] + 100.0, atol=0.1, rtol=1e-3)
    twice = images.clone()
    twice[:, 0] *= 2.0
    torch.testing.assert_close(features(twice), 2 * before, atol=2.0, rtol=1e-2)
    assert (before[:, 2] > before[:, 0]).all()  # the shell is denser than the core


@families
def test_a_family_learns_reaches_the_hu_and_reads_a_batch_as_singles(
    family: PredictorFamily, trained: PredictorSet, seen: SeenCohort
) -> None:
    module = trained.named(family.name)
    images = seen.data.images[:4].clone().requires_grad_()
    batch = module(images)
    assert batch.shape == (4, len(module.attributes))
    (gradient,) = torch.autograd.grad(batch.sum(), images)
    assert gradient.isfinite().all()
    assert (gradient[:, 0].abs().amax(dim=(1, 2, 3)) > 0).all()
    singles = torch.cat([module(one[None]) for one in images])
    torch.testing.assert_close(singles, batch, rtol=1e-4, atol=1e-3)


@families
def test_one_seed_trains_equal_modules(family: PredictorFamily, seen: SeenCohort) -> None:
    first, again = (family.fit(seen.data, family.attributes, 3).state_dict() for _ in range(2))
    assert all(torch.equal(values, again[name]) for name, values in first.items())


def _without(data: TrainingData, name: str, rows: list[int]) -> TrainingData:
    values = data.values[name].clone()
    values[rows] = float("nan")
    return replace(data, values={**data.values, name: values})


def test_a_batch_in_which_nothing_is_known_does_not_spoil_a_network(seen: SeenCohort) -> None:
    data = _without(seen.data.take(range(9)), "sex", list(range(7)))
    family = replace(FAMILIES["sex-network"], schedule=Schedule(epochs=8))
    module = family.fit(data, ("sex",), 0)
    assert all(values.isfinite().all() for values in module.state_dict().values())


def test_density_predicts_planted_age_on_unseen_subjects(trained: PredictorSet) -> None:
    assert trained.named("bone-density").skills["age_years"].figures["r2"] > 0.8


def test_an_attribute_with_no_spread_or_one_class_is_not_taught(seen: SeenCohort) -> None:
    alike = tuple(replace(one, sex=Sex.F, age_years=60.0) for one in seen.subjects)
    taught, skipped = teachable(replace(seen, subjects=alike))
    assert taught == ("weight_kg",)
    assert set(skipped) == {"sex", "age_years"}


def _loader(name: str) -> PredictorFamily:
    return FAMILIES[name]


def test_a_saved_set_reads_the_same(
    tmp_path: Path, trained: PredictorSet, seen: SeenCohort
) -> None:
    trained.save(tmp_path)
    loaded = load_predictors(tmp_path, _loader)
    for one, other in zip(trained.predictors, loaded.predictors, strict=True):
        assert json.dumps(other.record(), sort_keys=True) == json.dumps(
            one.record(), sort_keys=True
        )
        answers = one.answering(seen.data.images[:]), other.answering(seen.data.images[:])
        assert answers[0].shape[1] > len(one.attributes) or one.attributes == ("sex",)
        assert torch.equal(*answers)


def test_drivers_keep_what_each_fold_fitted_and_readers_do_not(
    tmp_path: Path, trained: PredictorSet, seen: SeenCohort
) -> None:
    trained.save(tmp_path)
    for one in load_predictors(tmp_path, _loader).predictors:
        if one.role is Role.READER:
            assert one.folds == ()
            continue
        left_out = [name for fold in one.folds for name in sorted(fold.left_out)]
        assert sorted(left_out) == sorted({subject.subject_id for subject in seen.subjects})
        assert len(one.folds) == 3


def test_without_a_subject_a_driver_reads_what_was_read_of_it_held_out(
    trained: PredictorSet, seen: SeenCohort
) -> None:
    for one in trained.of_role(Role.LOOP):
        (twin,) = one.without(seen.subjects[4].subject_id)
        read = twin(seen.data.images[4:5])[0].tolist()
        held_out = one.held_out[seen.sample_ids[4]]
        assert read == pytest.approx([held_out[name] for name in one.attributes], abs=1e-3)
        assert len(one.without("a stranger")) == 3


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": "x", "format_version": 1}',
             '{"format": "qctkit-predictors", "format_version": 1, "predictors": [{}]}',
             '{"format": "qctkit-predictors", "format_version": 1}'],
)  # fmt: skip
def test_a_damaged_description_is_a_predictor_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "predictors.json").write_text(text)
    with pytest.raises(PredictorError):
        load_predictors(tmp_path, _loader)


@pytest.mark.parametrize("keep", [None, 0, 20, 300])
def test_damaged_or_missing_weights_are_a_predictor_error(
    tmp_path: Path, trained: PredictorSet, keep: int | None
) -> None:
    trained.save(tmp_path)
    path = tmp_path / "bone-density.safetensors"
    content = path.read_bytes()
    path.unlink()
    if keep is not None:
        path.write_bytes(content[:keep])
    with pytest.raises(PredictorError, match="bone-density"):
        load_predictors(tmp_path, _loader)


def test_two_hips_of_the_only_woman_do_not_teach_sex(
    make: Callable[..., Sample], small_view: View, tmp_path: Path
) -> None:
    people = [Subject("F0", Sex.F, 60.0, 60.0)] * 2 + _subjects(0, 5)
    samples = [make(f"X{i}", subject=one, seed=i) for i, one in enumerate(people)]
    few = see_cohort(samples, tmp_path, small_view)
    assert few.data.subjects == tuple(one.subject_id for one in people)
    trained = train_predictors(
        few, [FAMILIES["bone-density"]], TrainingSettings(folds=3), {}, lambda _: None
    )
    assert "sex" in trained.skipped


class _KilledError(Exception):
    pass


def test_a_training_that_was_killed_goes_on_to_the_same_weights(
    tmp_path: Path, seen: SeenCohort, trained: PredictorSet
) -> None:
    chosen = [FAMILIES["sex-network"]]
    told: list[str] = []

    def run(*, resume: bool, kill_after: int | None = None) -> PredictorSet:
        def tick(words: str) -> None:
            told.append(words)
            if len(told) == kill_after:
                raise _KilledError

        store = FitStore(tmp_path / "fits", {"cohort": "a"}, resume=resume)
        return train_predictors(seen, chosen, TrainingSettings(folds=3), {}, tick, store)

    with pytest.raises(_KilledError):
        run(resume=False, kill_after=2)
    told.clear()
    again = run(resume=True).named("sex-network")
    assert sum("kept from before" in words for words in told) == 2
    whole = trained.named("sex-network")
    for name, values in whole.module.state_dict().items():
        assert torch.equal(values, again.module.state_dict()[name])
    assert again.held_out == whole.held_out


def test_fits_of_another_training_are_refused_and_a_damaged_one_is_made_again(
    tmp_path: Path,
) -> None:
    store = FitStore(tmp_path, {"cohort": "a"}, resume=False)
    store.keep(0, Fit({"w": torch.ones(2)}, np.zeros((1, 1)), np.zeros(1)))
    kept = FitStore(tmp_path, {"cohort": "a"}, resume=True)
    assert kept.load(0) is not None
    (tmp_path / "fit-0000.safetensors").write_bytes(b"cut")
    assert kept.load(0) is None
    with pytest.raises(PredictorError, match="another training"):
        FitStore(tmp_path, {"cohort": "b"}, resume=True)


def test_a_subject_that_is_held_out_lends_no_slice_and_a_leaking_split_says_so(
    seen: SeenCohort,
) -> None:
    family = FAMILIES["slice-network"]
    ticks: list[str] = []
    by_subject, by_slice = (
        slice_figures([family], seen, TrainingSettings(folds=2), split, ticks.append)
        for split in Split
    )
    assert ticks == ["slice-network"] * 4
    for found in (by_subject, by_slice):
        assert found["slice-network"]["sex"]["subjects"] == len(seen.subjects)
        assert found["slice-network"]["sex"]["readings"] > 8 * len(seen.subjects)


def test_hidden_slices_are_not_trained_on(seen: SeenCohort) -> None:
    family = FAMILIES["slice-network"]
    assert isinstance(family, NetworkFamily)
    data = seen.data.take(range(6))
    changed = data.images[:]
    kept = torch.zeros(changed.shape[0], changed.shape[2], dtype=torch.bool)
    kept[:3] = True
    changed[3:, 0] += 500.0
    first = family.fit_slices(data, ("sex",), 0, kept).state_dict()
    again = family.fit_slices(replace(data, images=changed), ("sex",), 0, kept).state_dict()
    assert all(torch.equal(values, again[name]) for name, values in first.items())


def test_early_stopping_goes_back_to_the_best_weights() -> None:
    module = torch.nn.Linear(1, 1)
    module.weight.data.fill_(0.0)
    watched: list[float] = []

    def loss(read: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        weight = module.weight.mean() + 0.0 * read.mean()
        if torch.is_grad_enabled():
            return -weight  # training drives the weight up for ever
        watched.append(((weight - 3.0) ** 2).item())
        return (weight - 3.0) ** 2

    schedule = Schedule(epochs=200, batch=32, learning_rate=0.5, patience=2)
    train(module, torch.ones(20, 1), loss, lambda batch, _: batch, schedule, 0)
    assert len(watched) < 200
    assert (module.weight.item() - 3.0) ** 2 == pytest.approx(min(watched))


def test_predictors_of_different_grids_do_not_drive_one_loop(trained: PredictorSet) -> None:
    sex, other = trained.named("sex-network"), trained.named("reader-network")
    mixed = replace(trained, predictors=(sex, replace(other, view=View())))
    assert mixed.shared_view(["sex-network"]) == SMALL
    with pytest.raises(PredictorError, match="different grids"):
        mixed.shared_view(["sex-network", "reader-network"])


def test_an_ensemble_reads_the_mean_of_its_members(seen: SeenCohort) -> None:
    family = replace(FAMILIES["age-weight-network"], members=2)
    module = family.fit(seen.data, family.attributes, 0)
    images = seen.data.images[:2]
    one, other = (member(images) for member in module.members)
    assert not torch.allclose(one, other)
    torch.testing.assert_close(module(images), (one + other) / 2)


def test_no_hip_however_odd_is_read_with_more_certainty_than_subjects_allow(
    seen: SeenCohort, trained: PredictorSet
) -> None:
    odd = seen.data.images[:2].clone()
    odd[:, 0] = 3000.0 - odd[:, 0]
    logit = trained.named("physical-features")(odd)[:, 0]
    assert (logit.abs() <= np.log(len(seen.subjects) + 1.0) + 1e-5).all()
