"""Figures per slice: a split of subjects, the study's split of slices, and the study's own."""

from collections.abc import Mapping

from qctkit.cohort import Record
from qctkit.report.training_words import shown, title, unit
from qctkit.subject import AGE, SEX, WEIGHT

STUDY_CONFUSION = (2259, 2, 20, 1754)
"""The source study's classifier over slices of 29 scans: right, wrong, wrong, right."""

STUDY_RATIOS = {"precision": "0.99", "recall": "0.99", "f1": "0.99"}
STUDY_MSE = "2.98 (scale not known here)"

Row = tuple[str, str, str, str]

BINARY = {"accuracy": "share right", "precision": "precision, men", "recall": "recall, men",
          "f1": "F1, men", "auc": "AUC"}  # fmt: skip
CONTINUOUS = {
    "mse": "mean squared error",
    "mae": "mean error",
    "mae_of_mean": "mean error of the mean",
    "r2": "R2",
}


def splits_side_by_side(figures: Record) -> dict[str, list[Row]]:
    """Return by slice-wise network the rows ``(figure, subjects, slices, study)`` of a table.

    The column of slices is empty where that split was not run.
    """
    leaking = figures.get("leaking", {}).get("per_slice", {})
    return {
        name: _rows(honest, leaking.get(name, {})) for name, honest in figures["per_slice"].items()
    }


def _rows(honest: Mapping[str, Record], leaking: Mapping[str, Record]) -> list[Row]:
    rows = []
    for name, found in honest.items():
        other = leaking.get(name)
        if name == SEX.name:
            rows += _sex_rows(found, other)
            continue
        for figure, words in CONTINUOUS.items():
            power = {"mse": f", {unit(name)}²", "r2": ""}.get(figure, f", {unit(name)}")
            label = f"{title(name)}: {words}{power}"
            rows.append((label, shown(found[figure]), _cell(other, figure), ""))
    if {AGE.name, WEIGHT.name} <= set(honest):
        label = "Age and weight: mean of both squared errors"
        rows.append((label, _both(honest), _both(leaking) if leaking else "", STUDY_MSE))
    return rows


def _both(found: Mapping[str, Record]) -> str:
    return f"{sum(found[name]['mse']['value'] for name in (AGE.name, WEIGHT.name)) / 2:.2f}"


def _sex_rows(found: Record, other: Record | None) -> list[Row]:
    right = (STUDY_CONFUSION[0] + STUDY_CONFUSION[3]) / sum(STUDY_CONFUSION)
    study = {"accuracy": f"{right:.3f}", **STUDY_RATIOS}
    confusion = (
        "Sex: women read as F / M, men read as F / M",
        _confusion(found),
        "" if other is None else _confusion(other),
        " / ".join(map(str, STUDY_CONFUSION)),
    )
    ratios = [
        (f"Sex: {words}", shown(found[figure], 3), _cell(other, figure, 3), study.get(figure, ""))
        for figure, words in BINARY.items()
    ]
    return [confusion, *ratios]


def _confusion(found: Record) -> str:
    return " / ".join(str(found["confusion"][f"true_{a}_read_{b}"]) for a in "fm" for b in "fm")


def _cell(found: Record | None, figure: str, digits: int = 2) -> str:
    return "" if found is None else shown(found[figure], digits)
