import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from qctkit.cohort import Sample
from qctkit.contracts import Candidate, Reading, Role, Verdict
from qctkit.density import DensityReference, density_reference, measure_density
from qctkit.geometry import Geometry
from qctkit.subject import Sex, Subject
from qctkit.validators.attributes import Attributes
from qctkit.validators.density import Density
from qctkit.validators.structure import Structure


@pytest.fixture(scope="module")
def reference(people: tuple[Sample, ...]) -> DensityReference:
    figures = [measure_density(one.volume, one.femur) for one in people]
    return density_reference([one.subject for one in people], figures)


@pytest.fixture
def candidate(people: tuple[Sample, ...]) -> Candidate:
    """Give a candidate that is its source, with nothing carried."""
    source = people[0]
    femur = source.femur
    return Candidate(source, source.volume, femur, femur.voxels, source.subject, (), ())


def _changed(candidate: Candidate, change: Callable[[np.ndarray], None]) -> Candidate:
    voxels = candidate.source.volume.voxels.astype(np.float32)
    change(voxels)
    return replace(candidate, volume=candidate.source.volume.with_voxels(voxels))


def _reading(after: float, role: Role = Role.READER, name: str = "age_years") -> Reading:
    return Reading(
        "r", role, name, before=60.0, after=after, expected=70.0, typical_error=4.0, can_read=True
    )


def _attributes(candidate: Candidate, *readings: Reading, reference: DensityReference) -> Verdict:
    asked = replace(candidate, carried=("age_years",), readings=readings)
    return Attributes().judge(asked, reference)


@pytest.mark.parametrize(
    ("after", "passed"), [(70.0, True), (65.1, True), (74.9, True), (64.9, False), (75.1, False)]
)
def test_a_reader_may_miss_by_half_the_change(
    candidate: Candidate, reference: DensityReference, after: float, passed: bool
) -> None:
    assert _attributes(candidate, _reading(after), reference=reference).passed is passed


@pytest.mark.parametrize(("after", "passed"), [(79.9, True), (80.1, False)])
def test_a_weak_reader_may_miss_by_its_own_error(
    candidate: Candidate, reference: DensityReference, after: float, passed: bool
) -> None:
    weak = replace(_reading(after), typical_error=8.0)  # 1.25 of them are 10 years
    assert _attributes(candidate, weak, reference=reference).passed is passed


def test_a_reading_that_is_no_number_fails(
    candidate: Candidate, reference: DensityReference
) -> None:
    assert not _attributes(candidate, _reading(float("nan")), reference=reference).passed


def test_a_predictor_of_the_loop_has_no_say(
    candidate: Candidate, reference: DensityReference
) -> None:
    fooled = _reading(70.0, Role.LOOP)
    verdict = _attributes(candidate, fooled, reference=reference)
    assert not verdict.passed
    assert "no reader outside the loop reads age_years" in verdict.words
    good = _attributes(candidate, _reading(0.0, Role.LOOP), _reading(70.0), reference=reference)
    assert good.passed


def test_a_reader_that_cannot_read_the_attribute_has_no_say(
    candidate: Candidate, reference: DensityReference
) -> None:
    unable = replace(_reading(0.0), can_read=False)
    assert not _attributes(candidate, unable, reference=reference).passed
    assert _attributes(candidate, unable, _reading(70.0), reference=reference).passed


def test_readers_answer_together_each_by_its_own_error(
    candidate: Candidate, reference: DensityReference
) -> None:
    under, over = _reading(60.0), _reading(78.0)
    assert not _attributes(candidate, under, reference=reference).passed
    assert _attributes(candidate, under, over, reference=reference).passed
    sure = replace(under, typical_error=1.0)  # 10 errors below, and only 2 above
    assert not _attributes(candidate, sure, over, reference=reference).passed


def test_nothing_carried_has_nothing_to_reach(
    candidate: Candidate, reference: DensityReference
) -> None:
    verdict = Attributes().judge(candidate, reference)
    assert verdict.passed
    assert "source's own" in verdict.words


def test_the_source_itself_keeps_its_structure(
    candidate: Candidate, reference: DensityReference
) -> None:
    verdict = Structure().judge(candidate, reference)
    assert verdict.passed
    assert verdict.figures["correlation_inside_femur"] == pytest.approx(1.0)


def test_one_voxel_changed_outside_the_region_fails(
    candidate: Candidate, reference: DensityReference
) -> None:
    def change(voxels: np.ndarray) -> None:
        voxels[0, 0, 0] += 1.0

    verdict = Structure().judge(_changed(candidate, change), reference)
    assert not verdict.passed
    assert verdict.figures["voxels_changed_outside_region"] == 1


def test_a_scrambled_femur_fails(candidate: Candidate, reference: DensityReference) -> None:
    inside = candidate.region

    def change(voxels: np.ndarray) -> None:
        voxels[inside] = np.random.default_rng(0).permutation(voxels[inside])

    verdict = Structure().judge(_changed(candidate, change), reference)
    assert not verdict.passed
    assert verdict.figures["voxels_changed_outside_region"] == 0


def test_a_femur_made_constant_fails(candidate: Candidate, reference: DensityReference) -> None:
    inside = candidate.region

    def change(voxels: np.ndarray) -> None:
        voxels[inside] = 300.0

    assert not Structure().judge(_changed(candidate, change), reference).passed


@pytest.mark.parametrize("hu", [-401.0, 2501.0])
def test_a_voxel_pushed_out_of_bones_range_fails(
    candidate: Candidate, reference: DensityReference, hu: float
) -> None:
    index = tuple(np.argwhere(candidate.region)[0])

    def change(voxels: np.ndarray) -> None:
        voxels[index] = hu

    verdict = Structure().judge(_changed(candidate, change), reference)
    assert not verdict.passed
    assert verdict.figures["voxels_pushed_out_of_range"] == 1


def test_another_grid_fails(candidate: Candidate, reference: DensityReference) -> None:
    volume = candidate.volume
    moved = Geometry.from_spacing(volume.geometry.shape, volume.spacing_mm, (0.0, 0.0, 0.0))
    shifted = replace(candidate, volume=replace(volume, geometry=moved))
    assert not Structure().judge(shifted, reference).passed


def test_a_mask_that_moves_where_nothing_may_fails(
    candidate: Candidate, reference: DensityReference
) -> None:
    shifted = np.roll(candidate.femur.voxels, 1, axis=0)
    other = replace(candidate, femur=replace(candidate.femur, voxels=shifted))
    assert not Structure().judge(other, reference).passed


def _moved(candidate: Candidate, least_determinant: float = 0.5) -> Candidate:
    """Return the candidate moved by a voxel, bone and mask, as its edit says."""
    hu = np.roll(candidate.volume.voxels, 1, axis=1)
    return replace(
        candidate,
        volume=candidate.volume.with_voxels(hu),
        femur=replace(candidate.femur, voxels=np.roll(candidate.femur.voxels, 1, axis=1)),
        region=np.ones(hu.shape, dtype=bool),
        figures={"morph.least_determinant": least_determinant},
        moved_hu=hu.astype(np.float32),
    )


def test_a_femur_that_moved_as_its_edit_says_keeps_its_structure(
    candidate: Candidate, reference: DensityReference
) -> None:
    verdict = Structure().judge(_moved(candidate), reference)
    assert verdict.passed
    assert verdict.figures["correlation_inside_femur"] == pytest.approx(1.0)
    assert verdict.figures["femur_volume_ratio"] == 1.0
    assert verdict.figures["femur_share_in_one_piece"] == 1.0


def test_a_map_that_folds_fails(candidate: Candidate, reference: DensityReference) -> None:
    assert not Structure().judge(_moved(candidate, -0.01), reference).passed


def test_a_moved_femur_without_a_determinant_fails(
    candidate: Candidate, reference: DensityReference
) -> None:
    assert not Structure().judge(replace(_moved(candidate), figures={}), reference).passed


def test_a_femur_that_breaks_in_two_fails(
    candidate: Candidate, reference: DensityReference
) -> None:
    moved = _moved(candidate)
    voxels = moved.femur.voxels.copy()
    voxels[18:20] = False
    broken = replace(moved, femur=replace(moved.femur, voxels=voxels))
    assert not Structure().judge(broken, reference).passed


def test_a_femur_of_twice_the_volume_fails(
    candidate: Candidate, reference: DensityReference
) -> None:
    moved = _moved(candidate)
    grown = ndimage.binary_dilation(moved.femur.voxels, iterations=3)
    large = replace(moved, femur=replace(moved.femur, voxels=grown))
    assert not Structure().judge(large, reference).passed


def test_bone_that_stayed_while_its_mask_moved_fails(
    candidate: Candidate, reference: DensityReference
) -> None:
    moved = _moved(candidate)
    for axis in (1, 2):
        moved = replace(moved, moved_hu=np.roll(moved.moved_hu, 4, axis=axis))
    assert not Structure().judge(moved, reference).passed


def test_a_real_femur_has_the_density_of_its_attributes(
    candidate: Candidate, reference: DensityReference
) -> None:
    verdict = Density().judge(candidate, reference)
    assert verdict.passed
    assert verdict.figures["trabecular_before_hu"] == verdict.figures["trabecular_after_hu"]


@pytest.mark.parametrize("factor", [0.3, 3.0])
def test_a_density_that_nobody_has_fails(
    candidate: Candidate, reference: DensityReference, factor: float
) -> None:
    inside = candidate.region

    def change(voxels: np.ndarray) -> None:
        voxels[inside] *= factor

    assert not Density().judge(_changed(candidate, change), reference).passed


def _with_modes(candidate: Candidate, *middles_hu: float) -> Candidate:
    """Return a candidate whose femur is marrow, and a mode of bone at each middle."""
    random = np.random.default_rng(0)

    def change(voxels: np.ndarray) -> None:
        femur = np.flatnonzero(candidate.femur.voxels)
        modes = np.array([0.0, 0.0, *middles_hu])
        voxels.flat[femur] = random.normal(modes[np.arange(len(femur)) % len(modes)], 30.0)

    return _changed(candidate, change)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ((), (), "with no peak before or after"),
        ((), (500.0,), "with no peak before, one peak at 500 HU after"),
        ((400.0, 650.0, 650.0), (), "with 2 peaks, the highest at 650 HU, before, no peak after"),
    ],
)
def test_no_peak_and_several_are_said_so(
    candidate: Candidate,
    reference: DensityReference,
    before: tuple[float, ...],
    after: tuple[float, ...],
    words: str,
) -> None:
    source = replace(candidate.source, volume=_with_modes(candidate, *before).volume)
    found = replace(_with_modes(candidate, *after), source=source)
    verdict = Density().judge(found, reference)
    said = re.sub(r"at (\d+) HU", lambda one: f"at {round(int(one[1]), -1)} HU", verdict.words)
    assert said.endswith(words)
    assert verdict.figures["bone_band_peaks_before"] == len(set(before))
    assert ("bone_band_peak_after_hu" in verdict.figures) == bool(after)


def test_a_label_that_the_density_contradicts_fails(
    people: tuple[Sample, ...], candidate: Candidate
) -> None:
    # Twenty subjects and more, so that the line follows age.
    subjects = [Subject(f"P{i}", Sex.F, 40.0 + i) for i in range(40)]
    figures = [
        replace(measure_density(people[0].volume, people[0].femur), trabecular_hu=500.0 - 4 * a)
        for a in (one.age_years + (i % 2) for i, one in enumerate(subjects))
    ]
    reference = density_reference(subjects, figures)
    honest = Subject("P00", Sex.F, (500.0 - Density().judge(candidate, reference).figures[
        "trabecular_after_hu"]) / 4.0)  # fmt: skip
    source = replace(candidate.source, subject=honest)
    asked = replace(candidate, source=source, label=honest)
    assert Density().judge(asked, reference).passed
    assert not Density().judge(replace(asked, label=Subject("P00", Sex.F, 110.0)), reference).passed


def test_a_verdict_is_the_same_every_time(
    candidate: Candidate, reference: DensityReference
) -> None:
    for validator in (Attributes(), Structure(), Density()):
        first, again = (validator.judge(candidate, reference) for _ in range(2))
        assert first.record() == again.record()
        assert first.validator == validator.name
