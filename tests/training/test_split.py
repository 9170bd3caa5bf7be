import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qctkit.errors import InputError
from qctkit.store.reader import CohortFile
from qctkit.subject import Subject
from qctkit.training import CohortDataset, SubjectSplit, source_subject_id, split_by_subject
from qctkit.training.source import Lineage
from qctkit.training.split import _families

HALVES = {"train": 0.5, "unseen": 0.5}


@pytest.fixture
def real(made, stored) -> CohortFile:
    """Six subjects; the first has both hips."""
    hips = [made("S0-left", Subject("S0")), made("S0-right", Subject("S0"))]
    return stored("real.h5", [*hips, *(made(f"S{i}") for i in range(1, 6))])


@pytest.fixture
def augmented(made, stored) -> CohortFile:
    """Twelve samples made from the six subjects, under their own and under new subject ids."""
    kept = [made(f"kept-{i}", Subject(f"S{i}"), source=f"S{i}") for i in range(6)]
    new = [made(f"new-{i}", Subject(f"N{i}"), source=f"S{i}") for i in range(6)]
    return stored("augmented.h5", [*kept, *new])


@pytest.mark.parametrize("seed", range(8))
def test_no_source_subject_is_in_two_parts(real, augmented, seed):
    split = split_by_subject([real, augmented], seed=seed)
    sources = {
        part: {
            source_subject_id(cohort.load(sample_id))
            for cohort in (real, augmented)
            for sample_id in split.sample_ids(cohort, part)
        }
        for part in split.parts
    }
    assert sum(map(len, sources.values())) == len(set.union(*sources.values())) == 6


def test_what_the_dataset_says_of_the_source_agrees_with_the_split(real, augmented):
    split = split_by_subject([real, augmented], HALVES)
    for cohort in (real, augmented):
        dataset = CohortDataset(cohort.path, split.sample_ids(cohort, "unseen"))
        items = [dataset[index] for index in range(len(dataset))]
        assert items
        assert all(item["source_subject_id"] in split.parts["unseen"] for item in items)


def test_every_sample_is_in_one_part(real, augmented):
    split = split_by_subject([real, augmented])
    for cohort in (real, augmented):
        placed = [i for part in split.parts for i in split.sample_ids(cohort, part)]
        assert sorted(placed) == sorted(cohort.sample_ids)


def test_both_hips_stay_together(real):
    for seed in range(10):
        train = split_by_subject([real], HALVES, seed).sample_ids(real, "train")
        assert ("S0-left" in train) == ("S0-right" in train)


def test_a_sample_made_from_a_made_one_stays_with_the_first_source(real, augmented, made, stored):
    again = stored("again.h5", [made("again", Subject("M2"), source="N2")])
    for seed in range(10):
        split = split_by_subject([again, real, augmented], HALVES, seed)
        train = split.parts["train"]
        assert len({"S2" in train, "N2" in train, "M2" in train}) == 1


def test_a_file_that_the_split_does_not_know_is_refused(real, augmented):
    split = split_by_subject([real])
    with pytest.raises(InputError, match=r"new-0 of subject N0, made from S0, has no one place"):
        split.sample_ids(augmented, "train")


def test_samples_made_later_under_their_sources_id_go_where_it_is(real, made, stored):
    split = split_by_subject([real], HALVES)
    later = stored("later.h5", [made("later", Subject("S3"), source="S3")])
    home = "train" if "S3" in split.parts["train"] else "unseen"
    assert split.sample_ids(later, home) == ("later",)


def test_a_split_with_a_subject_in_two_parts_cannot_be_made():
    with pytest.raises(InputError, match=r"in two: \['A'\]"):
        SubjectSplit({"train": ("A", "B"), "unseen": ("A",)})


def test_the_same_seed_gives_the_same_split_and_another_seed_another(real):
    assert split_by_subject([real], seed=1) == split_by_subject([real], seed=1)
    assert len({split_by_subject([real], HALVES, s).parts["train"] for s in range(10)}) > 1


def test_adding_the_augmented_file_moves_no_subject(real, made, stored):
    kept = stored("kept.h5", [made(f"k{i}", Subject(f"S{i}"), source=f"S{i}") for i in range(6)])
    assert split_by_subject([real]) == split_by_subject([real, kept])


def test_parts_have_the_sizes_asked_for(real):
    parts = split_by_subject([real], {"train": 0.67, "unseen": 0.33}).parts
    assert (len(parts["train"]), len(parts["unseen"])) == (4, 2)


def test_a_small_fraction_still_gets_a_subject(real):
    assert len(split_by_subject([real], {"train": 0.99, "unseen": 0.01}).parts["unseen"]) == 1


def test_an_unknown_part_is_refused(real):
    with pytest.raises(InputError, match="no part 'test'; it has train, unseen"):
        split_by_subject([real], HALVES).sample_ids(real, "test")


def test_more_parts_than_subjects_are_refused(made, stored):
    with pytest.raises(InputError, match="1 subjects cannot fill 3 parts"):
        split_by_subject([stored("one.h5", [made("A")])])


@pytest.mark.parametrize("fractions", [{}, {"a": 0.5}, {"a": 1.5, "b": -0.5}])
def test_fractions_that_do_not_sum_to_one_are_refused(real, fractions):
    with pytest.raises(InputError, match="positive and sum to 1"):
        split_by_subject([real], fractions)


IDS = st.sampled_from("ABCDEFGH")


@given(st.lists(st.tuples(IDS, IDS), min_size=1))
@settings(suppress_health_check=[HealthCheck.differing_executors])
def test_families_never_share_a_subject_and_hold_every_tie(ties):
    families = _families([Lineage("x", subject, source) for subject, source in ties])
    members = [subject for family in families for subject in family]
    assert len(members) == len(set(members))
    assert all(any({a, b} <= set(family) for family in families) for a, b in ties)


def test_the_order_of_the_files_does_not_matter(real, augmented):
    one = split_by_subject([real, augmented], HALVES)
    other = split_by_subject([augmented, real], HALVES)
    assert one == other
