"""The one-page summary that `qctkit augment` writes beside its samples."""

import importlib.resources
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import jinja2

from qctkit.calibration import CohortScale, one_material
from qctkit.cohort import Record
from qctkit.progress import Progress
from qctkit.report.pictures import as_png, comparison, mask_overview
from qctkit.report.training_words import title
from qctkit.store.reader import CohortFile
from qctkit.subject import ATTRIBUTES
from qctkit.units import Unit

SHOWN_SAMPLES = 4
SHOWN_MASKS = 6


def write_summary(made: CohortFile, real: CohortFile, path: Path, progress: Progress) -> Path:
    """Write a self-contained page about a made cohort and return its path."""
    chosen = _spread(made.sample_ids, SHOWN_SAMPLES)
    masks = _spread(real.sample_ids, SHOWN_MASKS)
    pictures = []
    with progress.task("drawing the summary", len(chosen) + 1) as task:
        overview = as_png(mask_overview([real.load(one) for one in masks]))
        task.advance()
        for sample_id in chosen:
            sample = made.load(sample_id)
            record = sample.synthesis.record if sample.synthesis else {}
            source = real.load(record["source_sample_id"])
            picture = as_png(comparison(source, sample, made.window))
            names = source.subject.attributes
            pictures.append(
                {"id": sample_id, "record": record, "attributes": names, "png": picture}
            )
            task.advance(sample_id)
    template = (
        importlib.resources.files("qctkit.report").joinpath("summary.html").read_text("utf-8")
    )
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.globals.update(stated=_stated, titles=_title)
    text = environment.from_string(template).render(
        run=made.run,
        accepted=len(made),
        refused=len(made.refused),
        reasons=_reasons(made.refused),
        overview=overview,
        pictures=pictures,
        scale=_scale(real),
        lines=Counter(real.summary(one)["scale"] for one in real.sample_ids).most_common(),
        subjects=len({real.subject(one).subject_id for one in real.sample_ids}),
    )
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
    return path


def _title(name: str) -> str:
    """Return an attribute's name and unit as a heading: ``age, years``."""
    unit = ATTRIBUTES[name].unit
    return f"{title(name).lower()}, {unit}" if unit else title(name).lower()


def _stated(value: str | float | None) -> str:
    return "not known" if value is None else str(value)


def _scale(real: CohortFile) -> CohortScale:
    units = [Unit(unit) for unit in real.table["unit"]]
    return one_material(
        {
            one: (unit, real.calibration(one))
            for one, unit in zip(real.sample_ids, units, strict=True)
        }
    )


def _reasons(refused: Sequence[Record]) -> list[tuple[str, int]]:
    """Return how many candidates each validator, or the edit's own limits, refused."""
    counts: Counter[str] = Counter()
    for record in refused:
        failed = [one["validator"] for one in record["verdicts"] if not one["passed"]]
        counts.update(failed or ["the edit's limits"])
    return counts.most_common()


def _spread(ids: Sequence[str], count: int) -> list[str]:
    """Return up to ``count`` ids, evenly spread over all."""
    if len(ids) <= count:
        return list(ids)
    return [ids[round(k * (len(ids) - 1) / (count - 1))] for k in range(count)]
