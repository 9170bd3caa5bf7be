"""The targets of a run: those that the user gave, checked, or drawn from the cohort."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from qctkit.contracts import Recipe
from qctkit.engine.cohort_range import CohortRange, Extrapolation
from qctkit.engine.target_draw import Limit, draw_targets
from qctkit.engine.targets import Asked, Target, possible, same_for_all
from qctkit.errors import InputError
from qctkit.pipeline.carry import Carrying
from qctkit.pipeline.target_table import read_targets
from qctkit.store.reader import CohortFile
from qctkit.subject import ATTRIBUTES, SEX, Sex, Subject, attributes_of


def given_targets(
    cohort: CohortFile, table: Path | None, asked: Mapping[str, Asked], seed: int
) -> tuple[Target, ...]:
    """Return the targets of a table, or what is asked of every source; none where neither is given.

    Raises:
        InputError: a row or a value is wrong, or no source could be given the target.
    """
    if table is not None:
        return read_targets(table, cohort)
    if not asked:
        return ()
    return same_for_all(asked, {one: cohort.subject(one) for one in cohort.sample_ids}, seed)


def drawn_targets(
    sources: Mapping[str, Subject],
    driven: Sequence[str],
    limits: Sequence[Limit],
    *,
    seed: int,
    most: int,
) -> tuple[Target, ...]:
    """Return up to so many targets, no two alike, drawn from the cohort's joint distribution.

    Where sex is not driven, and no limit says otherwise, values come from subjects of the source's
    sex: among men and women together a woman who stays one would be asked for a man's weight.

    Raises:
        InputError: nothing is driven, so that limits limit nothing, or nobody obeys them.
    """
    if limits and not driven:
        raise InputError(
            "no attribute is carried, so no target is drawn; leave out --target-where, or give "
            "predictors that read unseen subjects better"
        )
    named = {*driven, *(limit.attribute for limit in limits)}
    if driven and SEX.name not in named:
        limits = (*limits, Limit(SEX.name, same_as_source=True))
    return tuple(islice(draw_targets(sources, driven, seed, limits), most))


def check_targets(
    targets: Sequence[Target],
    sources: Mapping[str, Subject],
    recipe: Recipe,
    driven: Sequence[str],
    outcomes: Sequence[Carrying],
) -> None:
    """Refuse a target that could not be reached or would make a false label.

    Raises:
        InputError: another value than the source's is asked of an attribute that is not driven, or
            the source's value is not known, or nobody can have the value.
    """
    words = {outcome.attribute: outcome.words for outcome in outcomes}
    for target in targets:
        source = sources[target.source_sample_id]
        for name, value in target.values.items():
            if ATTRIBUTES[name].kind == "continuous":
                possible(name, value, f" of subject {source.subject_id}")
            where = f"{target.where or 'target'}: {name}={_shown(name, value)}"
            if name not in driven and value != source.value(name):
                why = "no predictor in its loop reads it" if recipe.drives_all else words[name]
                raise InputError(
                    f"{where} is asked of subject {source.subject_id}, but {recipe.name} cannot "
                    f"be held to it ({why}). It takes targets for "
                    f"{', '.join(driven) or 'no attribute of this cohort'}; leave {name} out to "
                    "keep the source's value"
                )
            if name in driven and source.value(name) is None:
                raise InputError(
                    f"{where} is asked of subject {source.subject_id}, whose own {name} is not "
                    "known: how far to go is not known either; complete the table of subjects"
                )


def person(target: Target, source: Subject, driven: Sequence[str]) -> dict[str, float | None]:
    """Return the attributes of the person asked for: driven ones as targeted, else the source's."""
    return {
        name: target.values.get(name, source.value(name)) if name in driven else source.value(name)
        for name in attributes_of([source])
    }


def extrapolation_words(
    targets: Sequence[Target],
    sources: Mapping[str, Subject],
    driven: Sequence[str],
    cohort: CohortRange,
) -> Iterator[str]:
    """Give, at most once, a warning of targets beyond the cohort."""
    found = [
        extrapolation
        for target in targets
        if (extrapolation := asked_beyond(target, sources, driven, cohort))
    ]
    if not found:
        return
    beyond = {name for one in found for name in one.attributes}
    names = [name for name in cohort.limits if name in beyond]
    parts = [_beyond(name, found, cohort) for name in names]
    jointly = [one.distance for one in found if one.is_jointly and one.distance is not None]
    if jointly and cohort.largest is not None:
        parts.append(
            f"attributes together up to {max(jointly):.1f} spreads from its middle, where the "
            f"outermost real subject is at {cohort.largest:.1f} ({len(jointly)} targets)"
        )
    yield (
        f"{len(found)} of {len(targets)} targets lie beyond the real cohort: {'; '.join(parts)}. "
        "Predictors and validators know no such femur; samples are marked as extrapolation"
    )


def asked_beyond(
    target: Target, sources: Mapping[str, Subject], driven: Sequence[str], cohort: CohortRange
) -> Extrapolation:
    """Return how the person asked for lies beyond the cohort."""
    return cohort.extrapolation(person(target, sources[target.source_sample_id], driven))


def _beyond(name: str, found: Sequence[Extrapolation], cohort: CohortRange) -> str:
    count = sum(name in one.attributes for one in found)
    low, high = cohort.limits[name]
    ends = dict.fromkeys(_shown(name, end) for end in (low, high))
    return f"{name} beyond {' to '.join(ends)} ({count} targets)"


def _shown(name: str, value: float) -> str:
    if name == SEX.name:
        return str(Sex.M if value > 0.5 else Sex.F)
    return f"{value:g}"
