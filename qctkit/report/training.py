"""The page that `qctkit train` writes: what each predictor is worth on unseen subjects."""

import importlib.resources
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray

from qctkit.cohort import Record
from qctkit.report.pictures import as_png
from qctkit.report.training_charts import (
    binary_readings,
    cohort_overview,
    learning_curves,
    read_against_true,
)
from qctkit.report.training_splits import splits_side_by_side
from qctkit.report.training_words import (
    MEAN,
    band_in_words,
    best,
    chart_in_words,
    classes,
    codes,
    cohort_in_words,
    headline,
    is_binary,
    shown,
    signed,
    title,
    unit,
)
from qctkit.subject import ATTRIBUTES, Sex


def write_training_page(figures: Record, path: Path) -> Path:
    """Write a self-contained page about a training and return its path.

    Args:
        figures: what ``metrics.json`` and ``held_out.json`` hold.
        path: where the page goes.
    """
    held_out = figures["held_out"]
    curves = held_out["learning_curves"]
    text = _template().render(
        training=figures["training"],
        cohort=cohort_in_words(held_out["subjects"]),
        simulated=any(one["simulated"] for one in held_out["subjects"]),
        headlines=[headline(name, *_compared(figures, name)) for name in _attributes(figures)],
        overview=as_png(cohort_overview(held_out["subjects"], _known(held_out["subjects"]))),
        attributes=[_attribute(figures, name) for name in _attributes(figures)],
        skipped={title(name): why for name, why in figures["skipped"].items()},
        curves=as_png(learning_curves(curves)) if curves else None,
        curves_in_words=_ends(curves),
        splits=splits_side_by_side(figures),
        leaks="leaking" in figures,
        roles=[(name, role, _reads(figures, name)) for name, role in figures["roles"].items()],
    )
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    return partial.replace(path)


def _template() -> jinja2.Template:
    folder = importlib.resources.files("qctkit.report")
    page = folder.joinpath("training.html").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.globals.update(shown=shown, signed=signed)
    return environment.from_string(page)


def _attributes(figures: Record) -> list[str]:
    return [name for name in ATTRIBUTES if name in figures["mean_predictor"]]


def _known(subjects: Sequence[Record]) -> dict[str, tuple[str, str]]:
    """Return title and unit, for the overview, of the numbers that are known of the subjects."""
    return {
        name: (title(name).lower(), unit(name))
        for name in ATTRIBUTES
        if name in subjects[0] and not is_binary(name)
    }


def _compared(figures: Record, name: str) -> tuple[dict[str, Record], Record]:
    """Return the figures of an attribute by predictor, and those of the mean predictor."""
    found = {
        predictor: by_attribute[name]["per_subject"]
        for predictor, by_attribute in figures["predictors"].items()
        if name in by_attribute
    }
    return found, figures["mean_predictor"][name]


def _attribute(figures: Record, name: str) -> Record:
    """Return what the template shows of one attribute."""
    found, mean = _compared(figures, name)
    chart = _chart(figures, name, found)
    return {
        "title": title(name),
        "unit": unit(name),
        "binary": is_binary(name),
        "classes": classes(name),
        "codes": codes(name),
        "best": best(name, found),
        "bands": [band_in_words(name, one) for one in mean.get("bias_by_band", [])],
        "rows": {**found, MEAN: mean},
        "png": chart,
        "in_words": chart_in_words(name, found, mean),
    }


def _chart(figures: Record, name: str, found: Mapping[str, Record]) -> str:
    held_out = figures["held_out"]
    true = _numbers([_number(one[name]) for one in held_out["subjects"]])
    readings = {one: _numbers(held_out["readings"][one][name]) for one in found}
    if is_binary(name):
        reliability = {one: figure["reliability"] for one, figure in found.items()}
        return as_png(binary_readings(classes(name), true, readings, reliability))
    mean = _numbers(held_out["mean_readings"][name])
    return as_png(read_against_true(unit(name), true, readings, mean))


def _ends(curves: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Return by network the last losses, learned and unseen, medians over folds."""
    return {
        name: tuple(np.median([one[-1] for one in networks], axis=0).tolist())
        for name, networks in curves.items()
    }


def _reads(figures: Record, predictor: str) -> str:
    return ", ".join(title(name).lower() for name in figures["predictors"][predictor])


def _number(value: float | str | None) -> float:
    if value is None:
        return float("nan")
    return Sex(value).code if isinstance(value, str) else value


def _numbers(values: list[float]) -> NDArray[np.float64]:
    return np.array(values, dtype=np.float64)
