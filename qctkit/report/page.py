"""The page of a made cohort: one file that needs nothing else."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from qctkit.cohort import Record
from qctkit.report import charts
from qctkit.report.analysis_words import (
    auc_ladder,
    beside_sentences,
    near_in_words,
    peak_sentences,
    realism_columns,
    realism_rows,
    region_rows,
    slope_rows,
    study_sentences,
)
from qctkit.report.assets import asset
from qctkit.report.change import ChangeRead, changes_read
from qctkit.report.choice import Chosen
from qctkit.report.facts import DENSITIES, Array, MadeScan, MeasuredScan, ReportFacts
from qctkit.report.methods import methods
from qctkit.report.stack import LEVELS_HU
from qctkit.report.training_words import joined, shown, title
from qctkit.report.vector import as_svg
from qctkit.report.verdicts import five_verdicts
from qctkit.subject import AGE, ATTRIBUTES, WEIGHT, Subject
from qctkit.window import DEFAULT_BONE_BAND

WINDOWS = (
    {"name": "bone", "low": -150, "high": 1000},
    {"name": "trabecular", "low": -100, "high": 450},
    {"name": "soft tissue", "low": -160, "high": 240},
    {"name": "network's", "low": -1000, "high": 1600},
)
"""Presets, HU; the last is the fixed window in which networks see scans, by default."""


@dataclass(frozen=True)
class PagePair:
    """A sample and its source as packed slices.

    Attributes:
        chosen: which sample, and why.
        shape: of both ``(S, A, R)``.
        spacing_mm: of both, along the same axes.
        cursor: voxel at which they are opened, in the middle of the femur.
        source: base64 of deflated codes of HU.
        difference: base64 of deflated differences.
        step_hu: what one step of a difference stands for.
    """

    chosen: Chosen
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    cursor: tuple[int, int, int]
    source: str
    difference: str
    step_hu: int

    @property
    def size(self) -> int:
        """Bytes of its slices in the page."""
        return len(self.source) + len(self.difference)


def report_page(facts: ReportFacts, pairs: Sequence[PagePair], beside: Sequence[str]) -> str:
    """Return the page as HTML, its styles, scripts, pictures and data inside.

    Args:
        facts: all that is said.
        pairs: the samples that are shown slice by slice.
        beside: names of the CSV and the JSON beside the page, and of the table of figures, empty
            where there is none.
    """
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.PackageLoader("qctkit", "report"),
        trim_blocks=True,
    )
    environment.globals.update(plot=_plot, shown=shown)
    environment.filters.update(nice=title)
    return environment.get_template("report.html").render(
        **_head(facts),
        **_samples(facts, pairs),
        **_cohorts(facts),
        methods=methods(facts),
        rows_name=beside[0],
        record_name=beside[1],
        figures_name=beside[2],
        css=Markup(asset("page.css")),
        js=Markup(f"{asset('slices.js')}\n{asset('report.js')}"),
    )


def _head(facts: ReportFacts) -> Record:
    reasons = facts.reasons()
    return {
        "made": facts.made,
        "run": facts.run,
        "made_name": facts.made_path.name,
        "real_name": facts.real_path.name,
        "subjects": facts.subjects,
        "sources": facts.sources,
        "who": "simulated subject" if _simulated(facts) else "subject",
        "simulated": _simulated(facts),
        "carried_words": _carried(facts),
        "five": five_verdicts(facts),
        "candidates": facts.candidates,
        "reasons": reasons,
        "yield_words": f"{len(facts.made)} accepted"
        + "".join(f", {count} refused by {name}" for name, count in reasons),
        "scale_words": f"Voxels are in {facts.scale.in_words}.",
    }


def _samples(facts: ReportFacts, pairs: Sequence[PagePair]) -> Record:
    why = {one.chosen.sample_id: one.chosen.why for one in pairs}
    places = {one.sample_id: place for place, one in enumerate(facts.real)}
    used = {one.source.sample_id for one in facts.made}
    thumbnails = {one.sample_id: one.thumbnail for one in facts.real if one.sample_id in used}
    groups: dict[str, list[str]] = {}
    for sample_id, reason in why.items():
        groups.setdefault(reason, []).append(sample_id)
    cursors = {one.chosen.sample_id: one.cursor for one in pairs}
    realism = (facts.analysis or {}).get("realism") or {"samples": ()}
    near = {one["sample_id"]: near_in_words(one) for one in realism["samples"]}
    scores = {one["sample_id"]: one["made_score"] for one in realism["samples"]}
    data = {
        "order": list(why) or [facts.made[0].scan.sample_id],
        "windows": WINDOWS,
        "levels_hu": LEVELS_HU.tolist(),
        "thumbnails": thumbnails,
        "samples": {
            one.scan.sample_id: {
                **_sample(one, why.get(one.scan.sample_id, ""), cursors),
                "near": near.get(one.scan.sample_id, ""),
            }
            for one in facts.made
        },
    }
    return {
        "chosen": pairs,
        "windows": WINDOWS,
        "groups": groups,
        "thumbnails": thumbnails,
        "source_places": {one: places[one] for one in thumbnails},
        "cards": [
            {**_card(one, why, places), "made_score": scores.get(one.scan.sample_id)}
            for one in facts.made
        ],
        "scored": any(one is not None for one in scores.values()),
        "data": _json(data),
        "slices": {one.chosen.sample_id: _json(_packed(one)) for one in pairs},
    }


def _sample(one: MadeScan, why: str, cursors: Mapping[str, Sequence[int]]) -> Record:
    """Return what the browser shows of a sample."""
    record = one.record
    keys = ("attribute", "predictor", "role", "before", "after", "expected")
    return {
        "why": why,
        "cursor": cursors.get(one.scan.sample_id),
        "source": one.source.sample_id,
        "caption": f"{caption(one.scan.subject)} · generated",
        "source_caption": f"{caption(one.source.subject)} · real",
        "attributes": [
            [name, title(name), ATTRIBUTES[name].unit] for name in one.scan.subject.attributes
        ],
        "source_labels": record["source_labels"],
        "targets": record["targets"],
        "labels": record["labels"],
        "readings": [
            {**{key: reading[key] for key in keys},
             "carried": reading["attribute"] in record["carried"]}
            for reading in sorted(
                record["readings"],
                key=lambda one: (one["attribute"] not in record["carried"], one["attribute"]),
            )
        ],
        "verdicts": [
            {key: verdict[key] for key in ("validator", "passed", "words")}
            for verdict in record["verdicts"]
        ],
        "made_by": f"From {one.source.sample_id} as {record['candidate_id']}, seed "
        f"{record['seed']}; stopped: {record['stop']} after {record['steps']} steps; the femur's "
        f"voxels changed by {one.change_hu:.0f} HU on average.",
    }  # fmt: skip


def _card(one: MadeScan, why: Mapping[str, str], places: Mapping[str, int]) -> Record:
    subject = one.scan.subject
    call = one.closest_call
    return {
        "id": one.scan.sample_id,
        "sex": subject.sex or "",
        "age": "" if subject.age_years is None else f"{subject.age_years:g}",
        "strain": round(one.strain, 4),
        "change": round(one.change_hu, 3),
        "why": why.get(one.scan.sample_id, ""),
        "words": f"{one.scan.sample_id} {one.source.sample_id} {call} "
        f"{why.get(one.scan.sample_id, '')}".lower(),
        "source_place": places[one.source.sample_id],
        "thumbnail": one.scan.thumbnail,
        "caption": caption(subject),
        "source_caption": caption(one.source.subject),
        "strain_words": f"{one.strain:.0%} of what {call} tolerates" if call else "no limits known",
    }


def _cohorts(facts: ReportFacts) -> Record:
    changes = changes_read(facts.made)
    density = (facts.analysis or {}).get("density") or {}
    relations = {(one["measure"], one["attribute"]): one for one in density.get("relations", ())}
    low, high = DEFAULT_BONE_BAND.limits_hu(facts.window)
    return {
        "changes": [_change(one) for one in changes],
        "charts": {
            "attributes": _chart(charts.attributes_chart(facts), _attributes_in_words(facts)),
            "change": _chart(charts.change_chart(changes), _changes_in_words(changes))
            if changes
            else None,
            "density": _chart(charts.density_chart(facts), _density_in_words(facts)),
            "relation": _chart(charts.relation_chart(facts, relations), _relation_in_words(facts)),
            "band": _chart(charts.band_chart(facts), _band_in_words()),
        },
        "table": [_row(facts, name, words) for name, words in DENSITIES.items()],
        "relations": slope_rows(density) if density else [],
        "regions": region_rows(density) if density else [],
        "peaks": peak_sentences(facts.peaks),
        "study": study_sentences(density) if density else [],
        "band_words": f"{DEFAULT_BONE_BAND.low} to {DEFAULT_BONE_BAND.high} of the window, "
        f"{low:.0f} to {high:.0f} {facts.unit}",
        **_real_or_fake(facts),
    }


def _real_or_fake(facts: ReportFacts) -> Record:
    realism = (facts.analysis or {}).get("realism")
    ladder = auc_ladder(realism, facts.readings)
    return {
        "realism": realism_rows(realism) if realism else [],
        "realism_columns": realism_columns(realism) if realism else [],
        "beside": beside_sentences(facts.analysis),
        "realism_notes": realism["notes"] if realism else [],
        "auc": _chart(charts.ladder(ladder, "AUC of telling generated from real", 0.5),
                      _ladder_in_words(ladder)) if ladder else None,
        "readings": facts.readings,
    }  # fmt: skip


def caption(subject: Subject) -> str:
    """Return whom a scan is labelled to be of, as the source study captions its panels."""
    known = (
        ("" if subject.age_years is None else f"{subject.age_years:.0f} y"),
        ("" if subject.weight_kg is None else f"{subject.weight_kg:.0f} kg"),
        ("" if subject.sex is None else str(subject.sex)),
    )
    return ", ".join(one for one in known if one) or "nothing known"


def _simulated(facts: ReportFacts) -> bool:
    return any(one.subject.origin(AGE.name) == "simulated" for one in facts.real)


def _carried(facts: ReportFacts) -> str:
    if not facts.carried:
        return "No attribute is carried: every label is the source’s own."
    names = joined([title(one).lower() for one in facts.carried])
    return f"It was asked to change {names}; every other label is the source’s own."


def _change(one: ChangeRead) -> Record:
    ends = "" if np.isnan(one.low) else f" ({one.low:.2f} to {one.high:.2f})"
    return {
        "attribute": title(one.attribute),
        "predictor": one.predictor,
        "in_loop": one.in_loop,
        "shown": "undefined" if np.isnan(one.gain) else f"{one.gain:.2f}{ends}",
        "say": "no, it drove the change" if one.in_loop
        else "yes" if one.can_read else "no, it cannot read it off unseen subjects",
    }  # fmt: skip


def _row(facts: ReportFacts, name: str, words: str) -> Record:
    unit, digits, scale = _shown_as(facts, name)
    made = charts.figure_values([one.scan for one in facts.made], name)
    source = charts.figure_values([one.source for one in facts.made], name)
    change = (made - source)[np.isfinite(made - source)]
    return {
        "name": f"{words}, {unit}",
        "real": _spread(scale * charts.figure_values(facts.real, name), digits),
        "made": _spread(scale * made, digits),
        "change": f"{round(scale * change.mean(), digits) + 0.0:+.{digits}f}"
        if len(change)
        else "",
    }


def _shown_as(facts: ReportFacts, name: str) -> tuple[str, int, float]:
    """Return unit, digits and factor with which a figure is shown."""
    if name == "bone_band_share":
        return "%", 1, 100.0
    return ("mL", 1, 1.0) if name == "femur_ml" else (facts.unit, 0, 1.0)


def _spread(values: Array, digits: int) -> str:
    known = values[np.isfinite(values)]
    if not len(known):
        return "none"
    missing = len(values) - len(known)
    few = f"; {missing} {'has' if missing == 1 else 'have'} none" if missing else ""
    return f"{known.mean():.{digits}f} ± {known.std(ddof=min(len(known) - 1, 1)):.{digits}f}{few}"


def _attributes_in_words(facts: ReportFacts) -> str:
    return (
        f"Sex, age and weight of the real subjects and of the samples' labels. Real: "
        f"{_people(facts.real)}. Generated: {_people([one.scan for one in facts.made])}."
    )


def _people(scans: Sequence[MeasuredScan]) -> str:
    sexes = [one.subject.sex for one in scans if one.subject.sex]
    words = [f"{sum(one == 'F' for one in sexes) / len(sexes):.0%} women"] if sexes else []
    for name, what in ((AGE.name, "years"), (WEIGHT.name, "kg")):
        values = charts.attribute_values(scans, name)
        values = values[np.isfinite(values)]
        if len(values):
            words.append(f"{values.min():.0f} to {values.max():.0f} {what}")
    return ", ".join(words) or "nothing known"


def _changes_in_words(changes: Sequence[ChangeRead]) -> str:
    gains = ", ".join(
        f"{title(one.attribute).lower()} by {one.predictor} {one.gain:.2f}" for one in changes
    )
    return (
        "Change that each predictor read against the change expected of a real person, with the "
        f"line of equality, dashed; sex as the log odds of being male. Read per unit expected: "
        f"{gains}."
    )


def _density_in_words(facts: ReportFacts) -> str:
    means = []
    for name in ("trabecular_hu", "cortical_hu", "femur_ml"):
        unit, digits, _ = _shown_as(facts, name)
        real, made = (
            charts.figure_values(scans, name)
            for scans in (facts.real, [one.scan for one in facts.made])
        )
        means.append(
            f"{DENSITIES[name]} {_spread(real, digits)} and {_spread(made, digits)} {unit}"
        )
    return f"Histograms over scans, real and generated: {'; '.join(means)}."


def _relation_in_words(facts: ReportFacts) -> str:
    found = []
    for name in (AGE.name, WEIGHT.name):
        for scans, who in ((facts.real, "real"), ([one.scan for one in facts.made], "generated")):
            x = charts.attribute_values(scans, name)
            y = charts.figure_values(scans, "trabecular_hu")
            known = np.isfinite(x) & np.isfinite(y)
            if known.sum() > 2 and np.ptp(x[known]) > 0 and np.ptp(y[known]) > 0:
                r = np.corrcoef(x[known], y[known])[0, 1]
                found.append(f"{title(name).lower()}, {who}: r {r:.2f}")
    return (
        "Trabecular density, cortical density and the highest peak in the bone band against age "
        "and weight, a dot a scan. Where a femur has several peaks, the highest may be another one "
        "than its neighbour's, and the dots part into two levels. Trabecular density with "
        f"{'; '.join(found) or 'too few scans'}."
    )


def _band_in_words() -> str:
    return (
        "Share of the femur's voxels by density in the bone band: mean over subjects, with a mark "
        "at each peak of it, and the range of 90 % of scans. A peak stands out from both sides by "
        "a tenth of the band's highest value, here and in all figures of this page."
    )


def _ladder_in_words(rows: Sequence[charts.Rung]) -> str:
    each = "; ".join(
        f"{one.label} {one.value:.2f}"
        + ("" if one.low is None or one.high is None else f" ({one.low:.2f} to {one.high:.2f})")
        for one in rows
    )
    return (
        "Area under the ROC curve of telling generated from real scans, with 95 % intervals; 0.5, "
        f"dashed, is guessing. {each}."
    )


def _chart(figure: Figure, words: str) -> Record:
    return {"svg": Markup(as_svg(figure, words)), "words": words}


def _plot(chart: Mapping[str, Any]) -> Markup:
    """Return a chart with what it shows in words."""
    return Markup('<figure class="plot">{}<figcaption>{}</figcaption></figure>').format(
        chart["svg"], chart["words"]
    )


def _packed(pair: PagePair) -> Record:
    return {
        "shape": pair.shape,
        "spacing_mm": [round(one, 4) for one in pair.spacing_mm],
        "source": pair.source,
        "difference": pair.difference,
        "step_hu": pair.step_hu,
    }


def _json(value: object) -> Markup:
    """Return JSON that can stand inside a script element."""
    return Markup(json.dumps(value, allow_nan=False).replace("<", "\\u003c"))
