from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from qctkit.engine.target_draw import Limit
from qctkit.engine.targets import Target
from qctkit.errors import InputError, TableError
from qctkit.pipeline.augment import AugmentOptions, augment
from qctkit.pipeline.augment_targets import check_targets, drawn_targets
from qctkit.pipeline.target_table import read_targets
from qctkit.predictors.trained import PredictorSet
from qctkit.progress import Silent
from qctkit.registry import load_registry
from qctkit.store.reader import CohortFile
from qctkit.subject import Sex, Subject
from tests.pipeline.density_loop import DENSITY_LOOP

REGISTRY = load_registry()
RECIPE = replace(DENSITY_LOOP, steps=2, validators=("structure",))


@dataclass(frozen=True)
class Heard(Silent):
    """What was said to the user."""

    lines: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def make(
    real: CohortFile, trained: Callable[..., PredictorSet], tmp_path: Path
) -> Callable[..., tuple[CohortFile, list[str]]]:
    """Make samples and return them with what was said."""

    def run(options: AugmentOptions) -> tuple[CohortFile, list[str]]:
        heard, path = Heard(), tmp_path / "made.h5"
        augment(real, RECIPE, trained(), REGISTRY, options, path, heard)
        return CohortFile(path), heard.lines

    return run


def age(cohort: CohortFile, sample_id: str) -> float:
    return cohort.subject(sample_id).age_years or 0.0


def records(made: CohortFile) -> list[dict[str, object]]:
    return [dict(one.synthesis.record) for one in made if one.synthesis] + [
        dict(one) for one in made.refused
    ]


def test_a_target_that_the_recipe_does_not_carry_is_refused(
    make: Callable[..., object], real: CohortFile, tmp_path: Path
) -> None:
    first = real.sample_ids[0]
    other = 1.0 - (real.subject(first).value("sex") or 0.0)
    options = AugmentOptions(1, targets=(Target(first, {"sex": other}, "t.csv, line 2"),))
    with pytest.raises(InputError) as refused:
        make(options)
    for words in ("t.csv, line 2: sex=", "density-field cannot change it", "age_years, weight_kg"):
        assert words in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_nobody_can_have_is_refused_before_anything_is_made(
    make: Callable[..., object], real: CohortFile, tmp_path: Path
) -> None:
    chosen = zip(real.sample_ids, (50.0, 90.0, 130.0), strict=False)
    targets = tuple(Target(one, {"age_years": years}) for one, years in chosen)
    with pytest.raises(InputError, match=r"age_years of subject .* would be 130; ask for"):
        make(AugmentOptions(3, targets=targets))
    assert list(tmp_path.iterdir()) == []


def test_a_source_of_unknown_age_cannot_be_made_older() -> None:
    sources = {"A": Subject("A", Sex.F), "B": Subject("B", Sex.F, 60.0)}
    targets = (Target("B", {"age_years": 70.0}), Target("A", {"age_years": 70.0}, "t.csv, line 3"))
    with pytest.raises(InputError, match=r"t.csv, line 3: age_years=70 .* A, whose own age_years"):
        check_targets(targets, sources, RECIPE, ("age_years",), ())


def test_the_sources_own_value_is_no_target(make: Callable[..., object], real: CohortFile) -> None:
    first = real.sample_ids[0]
    values = {"sex": real.subject(first).value("sex") or 0.0, "age_years": age(real, first) + 5}
    make(AugmentOptions(1, targets=(Target(first, values),)))


def test_a_target_beyond_the_cohort_is_made_with_one_warning_and_marked(
    make: Callable[..., tuple[CohortFile, list[str]]], real: CohortFile
) -> None:
    oldest = max(age(real, one) for one in real.sample_ids)
    targets = tuple(
        Target(one, {"age_years": wanted})
        for one in real.sample_ids[:2]
        for wanted in (oldest + 8.0, age(real, one))
    )
    made, said = make(AugmentOptions(4, targets=targets))
    warnings = [line for line in said if "beyond the real cohort" in line]
    assert len(warnings) == 1
    assert "2 of 4 targets" in warnings[0]
    assert f"{oldest:g}" in warnings[0]
    for record in records(made):
        beyond = record["targets"]["age_years"] > oldest  # type: ignore[index]
        assert record["extrapolation"]["attributes"] == (["age_years"] if beyond else [])  # type: ignore[index]


def test_drawn_targets_obey_the_limits(
    make: Callable[..., tuple[CohortFile, list[str]]], real: CohortFile
) -> None:
    ages = sorted(age(real, one) for one in real.sample_ids)
    limits = (Limit("age_years", ages[3], ages[6]),)
    made, _ = make(AugmentOptions(3, max_candidates=6, limits=limits))
    assert records(made)
    for record in records(made):
        assert ages[3] <= record["targets"]["age_years"] <= ages[6]  # type: ignore[index]
    assert made.run["limits"] == [limits[0].words]


def test_where_sex_is_kept_values_come_from_the_sources_own_sex(real: CohortFile) -> None:
    sources = {one: real.subject(one) for one in real.sample_ids}
    for target in drawn_targets(sources, ("weight_kg",), (), seed=0, most=30):
        models = [one for one in sources.values() if one.weight_kg == target.values["weight_kg"]]
        assert sources[target.source_sample_id].sex in {one.sex for one in models}
    men = drawn_targets(sources, ("weight_kg",), (Limit("sex", 1.0, 1.0),), seed=0, most=30)
    assert {sources[one.source_sample_id].sex for one in men} == {Sex.F, Sex.M}


def test_a_cohort_that_knows_no_sex_is_drawn_from_as_it_is() -> None:
    sources = {name: Subject(name, age_years=years) for name, years in (("A", 50.0), ("B", 70.0))}
    first, second = drawn_targets(sources, ("age_years",), (), seed=0, most=2)
    assert {first.values["age_years"], second.values["age_years"]} == {50.0, 70.0}


def test_a_limit_of_what_is_not_carried_is_told(
    make: Callable[..., tuple[CohortFile, list[str]]],
) -> None:
    _, said = make(AugmentOptions(1, max_candidates=1, limits=(Limit("sex", 1.0, 1.0),)))
    assert any("sex is not carried" in line for line in said)


def test_no_more_candidates_than_allowed_are_made_of_a_table(
    make: Callable[..., tuple[CohortFile, list[str]]], real: CohortFile
) -> None:
    targets = tuple(Target(one, {"age_years": age(real, one) + 5}) for one in real.sample_ids[:4])
    made, _ = make(AugmentOptions(4, max_candidates=2, targets=targets))
    assert len(records(made)) == 2


def test_a_table_gives_values_and_changes(real: CohortFile, tmp_path: Path) -> None:
    one, two = (real.subject(sample_id) for sample_id in real.sample_ids[:2])
    table = tmp_path / "t.csv"
    table.write_text(
        f"source_subject_id,age_years,weight_kg\n{one.subject_id},75,\n{two.subject_id},+10, 61\n"
    )
    first, second = read_targets(table, real)
    assert (first.source_sample_id, first.values) == (real.sample_ids[0], {"age_years": 75.0})
    assert second.values == {"age_years": (two.age_years or 0.0) + 10.0, "weight_kg": 61.0}
    assert second.where == f"{table}, line 3"


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ("age_years\n{}\n", "source_subject_id"),
        ("source_subject_id,sex,sex\n{},F,F\n", "each once"),
        ("source_subject_id,sex\n{},F,M\n", "line 2: 3 cells"),
        ("source_subject_id,sex\nnobody,F\n", "line 2, column source_subject_id: 'nobody'"),
        ("source_subject_id,sex\n{},female\n", "line 2, column sex: sex is 'female'"),
        ("source_subject_id,sex,age_years\n{},F,+100\n", "line 2, column age_years: age_years of"),
        ("source_subject_id,weight_kg\n{},900\n", "line 2, column weight_kg: weight_kg would be"),
    ],
)
def test_a_wrong_table_names_row_and_column(
    real: CohortFile, tmp_path: Path, cells: str, words: str
) -> None:
    table = tmp_path / "t.csv"
    table.write_text(cells.format(real.subject(real.sample_ids[0]).subject_id))
    with pytest.raises(TableError) as refused:
        read_targets(table, real)
    assert words in str(refused.value)
