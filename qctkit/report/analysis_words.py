"""Figures of `qctkit.pipeline.analyse` as rows and sentences; its record is described there."""

import math
from collections.abc import Mapping, Sequence

from qctkit.cohort import Record
from qctkit.report.charts import Rung
from qctkit.report.facts import DENSITIES
from qctkit.report.training_words import shown, title
from qctkit.subject import AGE, SEX, WEIGHT

PER = {AGE.name: "HU per year", WEIGHT.name: "HU per kg", SEX.name: "HU, men less women"}
ANSWERS = {"yes": "holds", "no": "does not hold", "not decided": "cannot be decided"}
EQUAL_AT = 0.05
"""Slopes are called unequal below this p."""

SHARP = 0.001

REFERENCES = {"real_against_real": "real against real", "affine_and_noise": "affine and noise"}
"""What every figure of realism is also given for."""

Estimate = Mapping[str, float | None]


def slope_rows(density: Record) -> list[dict[str, str]]:
    """Return a row for each density and attribute: slopes, rank correlations, the test."""
    return [
        {
            "density": DENSITIES[one["measure"]],
            "against": f"{title(one['attribute']).lower()}, {PER[one['attribute']]}",
            **{who: _part(one[who], "slope") for who in ("real", "made")},
            **{f"rank_{who}": _part(one[who], "rank_correlation") for who in ("real", "made")},
            "equal": _equal(one["p_equal_slopes"]),
        }
        for one in density["relations"]
    ]


def region_rows(density: Record) -> list[dict[str, str]]:
    """Return a row for each measure: real, made, and the change from the source."""
    return [
        {
            "name": f"{one['title']}, {one['unit']}" if one["unit"] else one["title"],
            "real": _shown(one["real"]),
            "made": _shown(one["made"]),
            "change": _shown(one["change_from_source"]),
        }
        for one in density["measures"]
    ]


def peak_sentences(peaks: Mapping[str, Record]) -> list[str]:
    """Return where the band's peak is in real and in made scans, and how many have none."""
    return [_peak(who, peaks[key]) for who, key in (("Real", "real"), ("Generated", "made"))]


def study_sentences(density: Record) -> list[str]:
    """Return whether the source study's findings on the band's peak hold here."""
    study = density["study"]
    findings = {
        "that the peak moves to the right as weight falls": "peak_moves_right_as_weight_falls",
        "that the peak hardly follows age": "weak_relation_with_age",
    }
    return [
        f"The source study saw {words}: in these real scans this "
        f"{ANSWERS[study[key]['real']]}, in generated ones it {ANSWERS[study[key]['made']]}."
        for words, key in findings.items()
    ]


def realism_columns(realism: Record) -> list[str]:
    """Return the headings of ``realism_rows``: the generated scans, references, other recipes."""
    return ["generated", *REFERENCES.values(), *_others(realism)]


def realism_rows(realism: Record) -> list[dict[str, str | list[str]]]:
    """Return a row for each figure, with its references."""
    return [
        {
            "title": one["title"],
            "alike": "" if one["alike"] is None else f"{one['alike']:g}",
            "shown": [_shown(found) for found in estimates(one).values()],
        }
        for one in realism["figures"]
        if one["made"] is not None
    ]


def beside_sentences(analysis: Record | None) -> list[str]:
    """Return what each other file is whose figures stand beside those of the generated scans."""
    return [
        f"{one['name']}: {one['samples']} of {one['candidates']} candidates accepted, seed "
        f"{one['seed']}. {one['account'][:1].upper()}{one['account'][1:]}."
        for one in (analysis or {}).get("beside", ())
    ]


def estimates(figure: Record) -> dict[str, Estimate | None]:
    """Return for whom a figure is given, in the order of ``realism_columns``, and what it is."""
    known = {kind: figure[kind] for kind in ("made", *REFERENCES)}
    return {**known, **figure.get("beside", {})}


def figure_of(realism: Record, name: str, kind: str = "made") -> Estimate | None:
    """Return one estimate, None where it is not known."""
    for one in realism["figures"]:
        if one["name"] == name:
            found: Estimate | None = {**one, **one.get("beside", {})}[kind]
            return found
    return None


def auc_ladder(realism: Record | None, readings: Record | None) -> list[Rung]:
    """Return who tells made from real how well: classifiers, their references, and people."""
    rows = (
        []
        if realism is None
        else [
            ("real against real", figure_of(realism, "classifier_auc", "real_against_real"), False),
            ("these samples, linear model", figure_of(realism, "classifier_features_auc"), True),
            ("these samples, 3D network", figure_of(realism, "classifier_network_auc"), True),
            (
                "random affine and noise",
                figure_of(realism, "classifier_auc", "affine_and_noise"),
                False,
            ),
            *(
                (name, figure_of(realism, "classifier_auc", name), False)
                for name in _others(realism)
            ),
        ]
    )
    if readings is not None:
        rows.append(("these samples, people", readings["auc"], True))
    return [
        Rung(label, found["value"], found["low"], found["high"], ours)
        for label, found, ours in rows
        if found is not None and found["value"] is not None
    ]


def auc_beside(realism: Record) -> str:
    """Return in words what the stronger classifier reaches on what other recipes made."""
    found = {name: figure_of(realism, "classifier_auc", name) for name in _others(realism)}
    return "".join(
        f"; {name} gets {one['value']:.2f}"
        for name, one in found.items()
        if one is not None and one["value"] is not None
    )


def _others(realism: Record) -> Sequence[str]:
    """Return the names of the other recipes; the JSON of older reports knows of none."""
    return list(realism["figures"][0].get("beside", ()))


def near_in_words(sample: Record) -> str:
    """Return how near a sample lies to its source and to other people, and how made it looks."""
    words = []
    share = sample["distance_to_source_over_neighbours"]
    if share is not None:
        words.append(
            f"It lies {share:.2f} times as far from its source as neighbouring people lie from one "
            "another (0 would be a copy)"
        )
    if sample["nearest_other_sample_id"]:
        words.append(f"the nearest other person is {sample['nearest_other_sample_id']}")
    if sample["made_score"] is not None:
        chance = 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, sample["made_score"]))))
        words.append(f"a classifier that never saw it takes it for generated with {chance:.0%}")
    return f"{'; '.join(words)}." if words else ""


def _peak(who: str, peak: Record) -> str:
    total = sum(peak["samples"].values())
    own = ", ".join(
        f"{count} {'has' if count == 1 else 'have'} {state}"
        for state, count in peak["samples"].items()
        if count
    )
    if peak["highest_hu"] is None:
        return f"{who}: the mean histogram has no peak in the band; of {total} scans {own}."
    others = ", ".join(f"{one:.0f}" for one in peak["peaks_hu"][1:])
    more = f", others at {others} HU" if others else ""
    return (
        f"{who}: the mean histogram's {'highest ' if others else ''}peak is at "
        f"{_shown(peak['highest_hu'], 0)} HU{more}; of {total} scans {own}."
    )


def _part(relation: Record | None, name: str) -> str:
    return "too few subjects" if relation is None else _shown(relation[name])


def _equal(p: float | None) -> str:
    if p is None:
        return "not tested"
    words = f"p < {SHARP}" if p < SHARP else f"p = {p:.3f}"
    return f"no ({words})" if p < EQUAL_AT else f"cannot be told apart ({words})"


def _shown(estimate: Estimate | None, digits: int | None = None) -> str:
    if estimate is None or estimate["value"] is None:
        return "not known"
    if digits is None:
        digits = _digits(abs(estimate["value"]))
    return shown(estimate, digits)


def _digits(size: float) -> int:
    return 0 if size >= 100 else 1 if size >= 10 else 2
