"""The page's data for other programs: a row a candidate, and every figure as JSON."""

import csv
import io
import math
from collections.abc import Mapping, Sequence

from qctkit.cohort import Record
from qctkit.report.analysis_words import estimates
from qctkit.report.change import changes_read
from qctkit.report.facts import DENSITIES, MadeScan, MeasuredScan, ReportFacts
from qctkit.report.methods import methods
from qctkit.report.verdicts import five_verdicts
from qctkit.subject import CORE

Row = dict[str, object]


def report_rows(facts: ReportFacts) -> list[Row]:
    """Return what is known of every candidate by column, refused ones last."""
    accepted = [{**_made(one), **_readings(one.record)} for one in facts.made]
    refused = [{**_asked(record), **_readings(record)} for record in facts.refused]
    columns = dict.fromkeys(name for row in (*accepted, *refused) for name in row)
    return [{name: row.get(name) for name in columns} for row in (*accepted, *refused)]


def figure_rows(analysis: Record | None) -> list[Row]:
    """Return the real-or-fake figures: a row for each, and for whom; none where not computed."""
    realism = (analysis or {}).get("realism") or {"figures": ()}
    return [
        {
            "figure": one["name"],
            "title": one["title"],
            "of": kind,
            **{name: (found or {}).get(name) for name in ("value", "low", "high", "subjects")},
            "if_alike": one["alike"],
        }
        for one in realism["figures"]
        for kind, found in estimates(one).items()
    ]


def write_rows(rows: Sequence[Row]) -> str:
    """Return rows as CSV; what is not known is empty."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return stream.getvalue()


def report_record(facts: ReportFacts) -> Record:
    """Return every figure of the page as JSON values, with the run's whole record."""
    return {
        "cohorts": {"made": facts.made_fingerprint, "real": facts.run["cohort_fingerprint"]},
        "accepted": len(facts.made),
        "refused": len(facts.refused),
        "refused_by": dict(facts.reasons()),
        "verdicts": [one.record() for one in five_verdicts(facts)],
        "changes_read": [
            {
                "attribute": one.attribute, "predictor": one.predictor, "in_loop": one.in_loop,
                "can_read": one.can_read, "gain": _number(one.gain), "low": _number(one.low),
                "high": _number(one.high),
            }
            for one in changes_read(facts.made)
        ],
        "bone_band_bins_hu": facts.bins_hu.tolist(),
        "bone_band_peak": dict(facts.peaks),
        "real": [_scan(one) for one in facts.real],
        "made": [
            {
                **_scan(one.scan),
                "source_sample_id": one.source.sample_id,
                "changed_outside": one.changed_outside,
                "change_hu": one.change_hu,
                "spreads": dict(one.spreads),
                "noise_power_ratios": dict(one.noise),
                "noise_in_femur": one.noise_in_femur,
                "strains": dict(one.strains),
                "record": one.record,
            }
            for one in facts.made
        ],
        "refusals": list(facts.refused),
        "run": facts.run,
        "methods": methods(facts),
        "analysis": facts.analysis,
        "readings": facts.readings,
    }  # fmt: skip


def _scan(scan: MeasuredScan) -> Row:
    return {
        "sample_id": scan.sample_id,
        "subject_id": scan.subject.subject_id,
        **{name: scan.subject.stated(name) for name in scan.subject.attributes},
        **{name: _number(scan.figures[name]) for name in DENSITIES},
        "bone_band_peaks_hu": list(scan.peaks_hu),
        "bone_band_histogram": [float(f"{one:.4g}") for one in scan.histogram],
    }


def _made(one: MadeScan) -> Row:
    return {
        "sample_id": one.scan.sample_id,
        **_asked(one.record),
        "strain": one.strain,
        "closest_call": one.closest_call,
        "voxels_changed_outside": one.changed_outside,
        "femur_change_hu": one.change_hu,
        **{f"{name.removesuffix('_hu')}_spreads": value for name, value in one.spreads.items()},
        **{f"noise_{name}_power_ratio": value for name, value in one.noise.items()},
        **_densities(one.scan),
        **{f"source_{name}": value for name, value in _densities(one.source).items()},
    }


def _densities(scan: MeasuredScan) -> Row:
    return {
        **{name: _number(scan.figures[name]) for name in DENSITIES},
        "bone_band_peaks": len(scan.peaks_hu),
    }


def _asked(record: Record) -> Row:
    parts: Mapping[str, Mapping[str, object]] = {
        "source": record["source_labels"], "target": record["targets"], "label": record["labels"],
    }  # fmt: skip
    return {
        "candidate_id": record["candidate_id"],
        "accepted": record["accepted"],
        "reason": record["reason"],
        "source_sample_id": record["source_sample_id"],
        "source_subject_id": record["source_subject_id"],
        "recipe": record["recipe"],
        "seed": record["seed"],
        **{
            f"{part}_{name}": values.get(name)
            for part, values in parts.items()
            for name in (*CORE, *sorted(set(record["labels"]) - set(CORE)))
        },
    }


def _readings(record: Record) -> Row:
    return {
        f"{one['predictor']}_{one['attribute']}_{when}": one[when]
        for one in record["readings"]
        for when in ("before", "after", "expected")
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _cell(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else value
